//! The command line: parses the arguments, runs the command, and returns its exit code.
//!
//! Each command has one file, with its flags, its help and its code. Data goes to
//! stdout; errors go to stderr, once, as one line.

mod apply;
mod args;
mod await_confirmation;
mod blocked;
mod boot;
mod change;
mod check;
mod command;
mod compare;
mod confirm;
mod dump;
mod error;
mod flag;
mod help;
mod hosts;
mod json;
mod lease_hook;
mod metrics;
mod open;
mod prove;
mod refresh;
mod report;
mod screen;
mod seal;
pub mod show;
mod status;
mod trace;
mod value;
mod version;
mod watch;

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;

pub use args::EVERY_COMMANDS_FLAGS;
pub use command::Command;
pub use flag::Flag;

use args::Given;
use error::{CliError, UsageError};

use crate::apply::not_in_force;
use crate::error::with_causes;
use crate::exit_code::ExitCode;
use crate::host;
use crate::prove::DescribedPacket;

/// All commands, in the order of the help.
pub static COMMANDS: &[Command] = &[
    check::COMMAND,
    show::rules::COMMAND,
    show::network::COMMAND,
    show::sysctls::COMMAND,
    show::kernel::COMMAND,
    show::vsftpd::COMMAND,
    show::dnsmasq::COMMAND,
    show::ntp::COMMAND,
    show::httpd::COMMAND,
    show::mail::COMMAND,
    show::msmtp::COMMAND,
    show::matrix::COMMAND,
    show::services::COMMAND,
    boot::COMMAND,
    apply::COMMAND,
    confirm::COMMAND,
    refresh::COMMAND,
    watch::COMMAND,
    seal::COMMAND,
    open::COMMAND,
    prove::COMMAND,
    trace::COMMAND,
    compare::COMMAND,
    status::COMMAND,
    blocked::COMMAND,
    report::COMMAND,
    hosts::COMMAND,
    metrics::COMMAND,
    help::COMMAND,
    version::COMMAND,
    await_confirmation::COMMAND,
];

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    if let Some(code) = lease_hook::run(arguments.peek()) {
        return code;
    }
    carry_out(arguments).unwrap_or_else(|error| {
        complain(&with_causes(&error));
        ExitCode::Refused
    })
}

fn carry_out(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode, CliError> {
    let given = Given::read(arguments)?;
    if let Some(text) = given.wants_text()? {
        return Ok(print(&text));
    }
    let (command, given) = given.command()?;
    (command.run)(&given)
}

/// Parses a packet given as the flags of `camfw trace`, with or without the command
/// before them, as counterexamples print it.
///
/// # Errors
/// Returns the unknown flag or invalid value.
pub fn packet_of_line(line: &str) -> Result<DescribedPacket, Box<dyn Error>> {
    Ok(trace::packet_of_line(line)?)
}

/// Writes data to stdout. It is no error if the reader has gone away.
fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    ExitCode::Done
}

/// Prints an error to stderr.
fn complain(line: &str) {
    host::log::to_stderr(&format!("camfw: {}\n", crate::source::one_line(line)));
}

/// Whether a policy is in force; says so if not: what is counted and recorded is of one.
fn tell_not_in_force() -> bool {
    let why = not_in_force();
    why.iter().for_each(|why| complain(why));
    why.is_none()
}

/// Prints an error to stderr, unless the log has already done so.
fn complain_unless_logged(line: &str) {
    if !host::log::is_on_stderr() {
        complain(line);
    }
}
