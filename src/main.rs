//! The command line of sipgw.

fn main() {}
