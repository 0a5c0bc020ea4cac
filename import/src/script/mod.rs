//! Shell scripts that set up iptables, and what iptables-save prints: as a configuration that lets through no more.
//!
//! ```text
//! text --token, shell--> commands --commands, rule--> chains --walk, flows--> who opens what --lines--> a configuration
//!      --dump---------->          (never run)                --rewriting----> forwards, masquerade
//! ```
//!
//! What a line cannot say is left out and told. A rule that may accept accepts nothing then; one that may drop drops all.

mod commands;
mod dump;
mod flows;
mod forward;
mod lines;
mod network;
mod rewriting;
mod rule;
mod service;
mod shell;
mod spans;
mod token;
mod told;
mod walk;
mod written;
mod zones;

pub use commands::LeftOut;
pub use zones::{ScriptedRole, ZoneHint};

use commands::ScriptedBox;
use thiserror::Error;

/// Why a file is not imported.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// A line is not of the shape that is read.
    #[error("line {line}: {why}")]
    Line {
        /// Its number.
        line: usize,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Nothing in it is about a network.
    #[error(
        "no rule or address names an interface; give each with --zone eth1=camera,192.168.8.1/24"
    )]
    NoInterface,
    /// An interface's name is none.
    #[error("{0:?} is no interface that can be written into a configuration; rename it")]
    Interface(String),
    /// The router's own addresses are not in it.
    #[error("no line says the router's own address on {}; give it for each, as in --zone {}=192.168.8.1/24 (or =dhcp)", .0.join(", "), .0.first().map_or("eth0", String::as_str))]
    NoAddress(Vec<String>),
}

impl ScriptError {
    fn at(line: usize, why: impl Into<String>) -> Self {
        Self::Line {
            line,
            why: why.into(),
        }
    }
}

/// What became of a script.
#[derive(Debug)]
pub struct ImportedScript {
    /// The configuration, with what was left out in comments.
    pub text: String,
    /// The lines that are not in it, or in part, in their order.
    pub left_out: Vec<LeftOut>,
}

/// Makes a configuration of a script's or a dump's text. The script is read and never run.
///
/// # Errors
/// Returns the first line that is not of the shape that is read, or what the command line has to say beside it.
pub fn import(text: &str, hints: &[ZoneHint]) -> Result<ImportedScript, ScriptError> {
    let (commands, variables) = match dump::is_dump(text) {
        true => (dump::read(text)?, Vec::new()),
        false => {
            let script = shell::read(text)?;
            (script.commands, script.variables)
        }
    };
    let mut found = ScriptedBox::of(&commands)?;
    let zones = zones::zones(&mut found, &variables, hints)?;
    let mut flows = flows::ScriptedFlows::of(&mut found, &zones);
    let rewrites = rewriting::rewrites(&found, &zones, &mut flows);
    Ok(lines::configuration(
        &found, &zones, &flows, &rewrites, &variables,
    ))
}
