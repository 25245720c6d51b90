//! The program: parse the command line, run the command, print what went wrong, exit.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A night asks for and gives back large blocks all the time; the kernel clears each anew. Seconds of the kernel in one
/// night of 20 million samples: 1.5 with this allocator, 4.6 with jemalloc (which took 20 % less memory), 2.4 with
/// jemalloc and huge pages.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    conto::cli::main()
}
