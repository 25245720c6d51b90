//! The program: parse the command line, run the command, print what went wrong, exit.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A run allocates and frees large blocks all the time. This allocator keeps them, so that the kernel need not clear
/// each again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    conto::cli::main()
}
