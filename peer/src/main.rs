//! The `samara` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    samara_peer::cli::main()
}
