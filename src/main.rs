//! The binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    camfw::cli::run(camfw::host::process::arguments()).into()
}
