//! The program: parses the command line, runs the command, prints its failure, exits.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    conto::cli::main()
}
