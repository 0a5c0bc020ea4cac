//! The command line: arguments as written -> a command -> its exit code.
//!
//! Data goes to stdout, what went wrong to stderr, once, in one line.

mod args;
mod change;
mod check;
mod compare;
mod dump;
mod lease;
mod matrix;
mod prove;
pub mod show;
mod status;
mod trace;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use args::{Args, Command};

use crate::host;

/// It does not hold.
const FAILED: u8 = 1;

/// Bad usage, and a refused configuration.
const REFUSED: u8 = 2;

/// Runs the command that the arguments name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.peekable();
    if let Some(code) = lease::run(arguments.peek()) {
        return ExitCode::from(code);
    }
    let args = match Args::parse(arguments) {
        Ok(args) => args,
        Err(error) => {
            complain(&format!("{error}; see camfw --help"));
            return ExitCode::from(REFUSED);
        }
    };
    let config = args.config.as_path();
    let code = match args.command {
        Command::Help => print(args::HELP),
        Command::Version => print(concat!("camfw ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Check => check::run(config),
        Command::Matrix { ipv6, json } => matrix::run(config, &args.options, ipv6, json),
        Command::Show(what) => show::run(config, what),
        Command::Status { json } => status::run(config, json),
        Command::Prove => prove::run(config, &args.options),
        Command::Compare(old, new) => compare::run(&old, &new),
        Command::Trace => trace::run(config, &args.options),
        Command::AwaitConfirmation {
            token,
            seconds,
            waiter,
        } => change::await_confirmation(&token, seconds, waiter, args.verbose),
        Command::Change(change) => change::run(config, change, args.verbose),
    };
    ExitCode::from(code)
}

/// Writes data to stdout; a reader that went away is no error of ours.
fn print(text: &str) -> u8 {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    0
}

/// Says on stderr what is wrong.
fn complain(line: &str) {
    host::log::to_stderr(&format!("camfw: {}\n", crate::source::one_line(line)));
}

/// Says on stderr what is wrong, unless the log had to say it there already.
fn complain_unless_logged(line: &str) {
    if !host::log::is_on_stderr() {
        complain(line);
    }
}
