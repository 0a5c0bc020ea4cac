//! Why a command is not run; always exit code 2.

use thiserror::Error;

use super::COMMANDS;
use super::args::EVERY_COMMANDS_FLAGS;
use super::command::Command;
use super::flag::Flag;
use crate::apply::StepError;
use crate::family::IpFamily;
use crate::host::page_file::PageFileError;
use crate::host::text_file::TextFileError;
use crate::nearest::{did_you_mean, does_it_begin};
use crate::netfilter::ParseError;
use crate::prove::{ChainPlace, NetworksError, PacketError};
use crate::servers::NothingToServe;
use crate::source::Refusal;

/// Why arguments are rejected.
#[derive(Debug, Error)]
pub(super) enum UsageError {
    #[error("{0}; see camfw help")]
    Argument(#[from] lexopt::Error),
    #[error("no command was given; see camfw help")]
    NoCommand,
    #[error("no command is called {:?}; {}", .0.join(" "), commands(.0))]
    UnknownCommand(Vec<String>),
    #[error("write it as: camfw {}{}", .0.usage(), if .0.operands.is_empty() { "; a file is named by --config FILE" } else { "" })]
    Operands(&'static Command),
    #[error("{}", unknown_flag(flag, *command))]
    UnknownFlag {
        flag: String,
        command: Option<&'static Command>,
    },
    #[error("write --{0} \"{1}\", in quotes")]
    Unquoted(&'static str, String),
    #[error("write --{}, with two dashes", .0.name)]
    OneDash(&'static Flag),
    #[error("--{} needs a {} after it{}", .0.name, .0.value.unwrap_or_default(), example(.0))]
    NoValue(&'static Flag),
    #[error("{given}: {problem}")]
    Value { given: String, problem: String },
    /// An invalid combination of flags or operands.
    #[error("{0}")]
    Together(&'static str),
}

/// Why a command is not run.
#[derive(Debug, Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    TextFile(#[from] TextFileError),
    #[error("{file}")]
    Dump { file: String, source: ParseError },
    #[error("{file}: {problem}")]
    DumpFamily { file: String, problem: String },
    #[error("{0}: holds no table; give what iptables-save prints for root")]
    NoTable(String),
    #[error("{file}:{error}")]
    Networks { file: String, error: NetworksError },
    #[error(
        "{0}: names no interface that hosts are behind; write one a line, as in: eth1 192.168.8.0/24"
    )]
    NoInterface(String),
    #[error(
        "{networks}: has no line for any interface that {file} names, which are {named}; write what is behind each of them"
    )]
    NoSharedInterface {
        file: String,
        networks: String,
        named: String,
    },
    #[error("{file}: there is no {}/{}", .chain.0.as_str(), .chain.1)]
    NoChain { file: String, chain: ChainPlace },
    #[error(
        "{file}: none of its guarantees says anything about {family}, which the rules are of; give rules of the other family, or name interfaces"
    )]
    NoGuarantee { file: String, family: IpFamily },
    #[error("{0} and {1} are of IPv4 and of IPv6; give two of one family")]
    NotOneFamily(String, String),
    #[error(transparent)]
    PageFile(#[from] PageFileError),
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error("{file}:{line}")]
    PacketLine {
        file: String,
        line: usize,
        source: Box<CliError>,
    },
    #[error(
        "the matrix cannot be made: it takes too much memory, or has too many ranges of addresses, of which a mask with holes has one for each value of its holes; leave out --exact, or ask about one service by --dport"
    )]
    MatrixTooLarge,
    #[error("the rules of the kernel cannot be read")]
    LiveRules(#[source] StepError),
    #[error("no camera is called {0}; {1}")]
    NoCamera(String, String),
    #[error("{file}: {nothing}")]
    NothingToServe {
        file: String,
        nothing: NothingToServe,
    },
}

/// What the value of a flag looks like, if its name does not say.
fn example(flag: &Flag) -> &'static str {
    match flag.value {
        Some("TIME") => ", such as 90, 5m or \"5 minutes\"",
        _ => "",
    }
}

/// The command that was probably meant; else those that begin with the given first word,
/// or all commands if there is none.
fn commands(words: &[String]) -> String {
    let shown = COMMANDS.iter().filter(|command| !command.is_hidden());
    let near = |words: &[String]| {
        let names = shown.clone().map(|command| command.name);
        did_you_mean(&words.join(" "), names)
    };
    // The words after the command's name are its operands.
    let begun = [words, &words[..1.min(words.len())]];
    if let Some(meant) = begun.into_iter().find_map(near) {
        return meant;
    }
    let names = shown.clone().map(|command| command.name);
    if let Some(meant) = words.first().and_then(|word| does_it_begin(word, names)) {
        return meant;
    }
    let first = &words[..1.min(words.len())];
    let group = shown.clone().filter(|command| command.begins_with(first));
    let mut names: Vec<&str> = group.map(|command| command.name).collect();
    if names.is_empty() {
        names = shown.map(|command| command.name).collect();
    }
    format!("there are {}", names.join(", "))
}

/// The message for an unknown flag, with the flags that exist.
fn unknown_flag(flag: &str, command: Option<&Command>) -> String {
    let own = match command {
        Some(command) => std::slice::from_ref(command),
        None => COMMANDS,
    };
    let flags = own.iter().flat_map(|command| command.flags);
    let flags = flags.chain(EVERY_COMMANDS_FLAGS);
    let flags: Vec<String> = flags.map(|flag| format!("--{}", flag.name)).collect();
    let near = match flag.starts_with("--") {
        true => did_you_mean(flag, flags.iter().map(String::as_str)),
        false => None,
    };
    match (command, near) {
        (Some(command), Some(near)) => format!("{} does not take {flag}; {near}", command.name),
        (Some(command), None) => {
            let (name, flags) = (command.name, flags.join(", "));
            format!("{name} does not take {flag}; it takes {flags}")
        }
        (None, Some(near)) => format!("no command takes {flag}; {near}"),
        (None, None) => format!("no command takes {flag}; see camfw help"),
    }
}
