//! The binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    camfw::cli::run(std::env::args_os().skip(1))
}
