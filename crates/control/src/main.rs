//! control.
fn main() {}
