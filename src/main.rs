//! The command line of sipgw.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
