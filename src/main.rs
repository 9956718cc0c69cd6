//! The `apprentice` command.
fn main() {}
