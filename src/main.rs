//! The command line of sipgw.

mod cli;

use std::process::ExitCode;

/// A call is a few hundred small allocations on several threads. The system's allocator spends about a seventh of
/// the gateway's time on them and keeps what a peak of calls took. Huge pages are off (`no_thp`): they save no time that can
/// be measured here, and a running call would take up to twice the memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
