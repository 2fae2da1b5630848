//! What happens to clients, and to what they were promised, when parts of Slipway fail, stall or are full.

mod clients;
mod queues;
mod restarts;
mod slow;
mod soak;
mod soak_traffic;
mod stage;
mod wire;
