//! Upper bounds of histograms in seconds, one list for each kind of thing, so that panels and alerts can be compared.

/// Answers to requests. It has 2 s, at which the alert on latency looks.
pub const LATENCY_S: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Short waits inside of a process: for a connection of a pool, or a lock.
pub const WAIT_S: &[f64] = &[0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 3.0, 10.0];

/// Work that nobody waits for at the other end of a connection: jobs, deliveries.
pub const WORK_S: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0];
