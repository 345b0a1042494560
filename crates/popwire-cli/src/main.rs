//! popwire
fn main() {}
