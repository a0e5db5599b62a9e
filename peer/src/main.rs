//! Samara.
fn main() {}
