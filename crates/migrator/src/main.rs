//! migrator.
fn main() {}
