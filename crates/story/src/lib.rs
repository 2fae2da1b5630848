//! Slipway as a whole, as its tests tell it, through the binaries of all services and tools: one release from a commit to
//! production, and what happens when a part fails.
