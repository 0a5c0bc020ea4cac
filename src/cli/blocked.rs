//! `camfw blocked`: shows what was refused, by host.

use std::fmt::Write;

use super::error::UsageError;
use super::json::{JSON, print_json};
use super::status::{counted_word, duration};
use super::value::Ago;
use super::{CliError, Command, ExitCode, Flag, Given, print};
use crate::apply::blocked::{Blocked, BlockedReader, now, wait_while_read};
use crate::observe::presence::in_words;
use crate::observe::wanted::{BlockedHost, Tried};
use crate::policy::Recordable;

const CAMERA: Flag = Flag::valued(
    "camera",
    "NAME",
    "of this camera alone, by its addresses or its mac",
);
const SINCE: Flag = Flag::valued("since", "AGO", "tried since then: 90s, 30m, 2h or 7d ago");
const FOLLOW: Flag = Flag::switch("follow", "go on with what is refused from now on");

pub(super) const COMMAND: Command = Command::new(
    "blocked",
    "what did cameras and other hosts try that is not allowed?",
    run,
)
.about(
    "For each host of the zones that are recorded, and for the router where its egress
is listed: where it wanted to go, by which service, why it was refused, how many
packets at least, when first and last, and the keys of the [[allow]] that would let
it, unless a role forbids that. `camfw watch` records it; a reboot loses at most
what came in the last 15 minutes.",
)
.flags(&[CAMERA, SINCE, FOLLOW, JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let camera = given.file(&CAMERA);
    let since: Option<Ago> = given.value(&SINCE)?;
    let (follow, json) = (given.has(&FOLLOW), given.has(&JSON));
    if follow && json {
        let why = "--follow prints lines for people; leave out --json";
        return Err(UsageError::Together(why).into());
    }
    let since = since.map(|Ago(seconds)| seconds);
    let mut reader = BlockedReader::new(&given.config(), since, camera.clone())?;
    if let Some(name) = camera
        && let Some(instead) = reader.instead_of(&name)
    {
        return Err(CliError::NoCamera(name, instead));
    }
    let blocked = reader.read();
    if json {
        print_json(&blocked);
    } else {
        print(&to_text(&blocked, reader.recordable()));
    }
    if follow {
        go_on(&mut reader);
    }
    let recorded = match reader.recordable() {
        Recordable::Nothing => true,
        Recordable::NotByThisKernel => false,
        Recordable::Some => blocked.recording,
    };
    let is_in_force = super::tell_not_in_force();
    let whole = blocked.problems.is_empty() && recorded && is_in_force;
    Ok(ExitCode::of(whole))
}

fn to_text(blocked: &Blocked, recordable: Recordable) -> String {
    let mut text = String::new();
    text += match recordable {
        Recordable::Nothing => "nothing is recorded: no zone has record = true\n",
        Recordable::NotByThisKernel => super::status::NO_NFLOG,
        Recordable::Some if !blocked.recording => super::status::NOT_RECORDING,
        Recordable::Some => "",
    };
    for problem in &blocked.problems {
        let _ = writeln!(text, "what was refused before is not known: {problem}");
    }
    if blocked.hosts.is_empty() {
        text += "nothing was refused\n";
    }
    let now = now();
    for host in &blocked.hosts {
        let _ = writeln!(text, "{}", named(host));
        for tried in &host.tried {
            let _ = writeln!(text, "  {}", line(tried, now));
            if let Some(keys) = &tried.allow {
                let _ = writeln!(text, "      [[allow]] {}", keys.replace('\n', ", "));
            }
        }
    }
    if blocked.given_up > 0 {
        let _ = writeln!(text, "{} older entries had no room", blocked.given_up);
    }
    if blocked.lost > 0 {
        text += "packets came faster than they were read: more was tried than is said here\n";
    }
    text
}

fn named(host: &BlockedHost) -> String {
    let hardware = host.hardware.as_deref().unwrap_or("no hardware address");
    let owner = host.hardware_of.as_deref();
    let hardware = &owner.map_or(hardware.to_owned(), |it| format!("{hardware} of {it}"));
    match (&host.zone, &host.camera) {
        (None, _) => format!("the router, from {}", host.address),
        (Some(zone), Some(camera)) => format!("{camera} ({}, {hardware}, {zone})", host.address),
        (Some(zone), None) => {
            let addresses = in_words(&host.addresses, host.more_addresses);
            format!("{addresses} ({hardware}, {zone})")
        }
    }
}

fn line(tried: &Tried, now: u64) -> String {
    let name = tried.name.as_ref().map(|name| format!(" ({name})"));
    let ago = |then: u64| duration(now.saturating_sub(then));
    format!(
        "{}{} {}: {}, {}, first {} ago, last {} ago",
        tried.to,
        name.unwrap_or_default(),
        tried.service,
        tried.why(),
        counted_word(tried.count, "packet"),
        ago(tried.first),
        ago(tried.last)
    )
}

/// Prints a line for each thing that was tried again, until nobody reads them.
fn go_on(reader: &mut BlockedReader) {
    while wait_while_read() {
        let blocked = reader.read_on();
        let now = now();
        let mut text = String::new();
        for host in &blocked.hosts {
            for tried in &host.tried {
                let _ = writeln!(text, "{}: {}", named(host), line(tried, now));
            }
        }
        print(&text);
    }
}
