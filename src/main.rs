//! The program: parse the command line, run the command, print what went wrong, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    conto::cli::main()
}
