//! `camfw status`: compares the kernel with the file, and shows who is there and what was
//! counted, on one screen.

use super::json::{JSON, print_json};
use super::screen::Screen;
use super::{CliError, Command, ExitCode, Flag, Given, hosts, print};
use crate::apply::{self, MOST_DIFFERENCES, NameReport, Report};
use crate::field::plural;
use crate::observe::accounting::Accounting;
use crate::observe::presence::{CameraPresence, CameraState};
use crate::observe::ways;
use crate::policy::Recordable;

/// Why nothing is recorded that is refused.
pub(super) const NOT_RECORDING: &str =
    "NOT RECORDING what is refused: camfw watch does not run, or says in the log why\n";
pub(super) const NO_NFLOG: &str =
    "NOT RECORDING what is refused: this kernel has no NFLOG (CONFIG_NETFILTER_XT_TARGET_NFLOG)\n";

/// The most cameras that a screen shows.
const MOST_CAMERAS: usize = 8;

const ALL: Flag = Flag::switch(
    "all",
    "every camera and difference, each line's counts, what names resolved to",
);

pub(super) const COMMAND: Command = Command::new(
    "status",
    "does the kernel hold the file, who is there, and what needs attention?",
    run,
)
.about(
    "On one screen: the state and since when; differences between the file and the
kernel's rules, settings, addresses and routes; the zones with their links; the
cameras, those first that need attention; how much was let through and refused. Exit
0 says that the kernel holds the file; what else needs attention leaves it so. Colours
are for terminals alone, and not where NO_COLOR is set.",
)
.flags(&[ALL, JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let report = apply::status(&given.config())?;
    match given.has(&JSON) {
        true => print_json(&report),
        false => print(&to_text(&report, given.has(&ALL), Screen::new())),
    };
    Ok(report.exit_code())
}

fn to_text(report: &Report, all: bool, mut screen: Screen) -> String {
    state(&mut screen, report);
    let file = &report.file;
    let compared = match (&report.compared_with, report.drift.len()) {
        (Some(policy), 0) => Some(format!(
            "the kernel holds policy {} of {file}",
            &policy[..12]
        )),
        (Some(policy), count) => {
            let differences = counted_word(count as u64, "difference");
            Some(format!(
                "{differences} from policy {} of {file}:",
                &policy[..12]
            ))
        }
        (None, 0) => None,
        (None, _) => Some("not closed:".to_owned()),
    };
    compared.into_iter().for_each(|line| screen.line(&line));
    // Where no policy is in force all of it differs.
    let most = match all || !screen.is_terminal && report.in_force.policy().is_some() {
        true => usize::MAX,
        false => MOST_DIFFERENCES,
    };
    for difference in report.drift.iter().take(most) {
        screen.wrong(difference);
    }
    if report.drift.len() > most {
        screen.line(&format!(
            "and {} more: camfw status --all",
            report.drift.len() - most
        ));
    }
    match (report.recordable, report.recording) {
        (Recordable::NotByThisKernel, _) => screen.wrong(NO_NFLOG.trim_end()),
        (Recordable::Some, Some(false)) => screen.wrong(NOT_RECORDING.trim_end()),
        _ => {}
    }
    for note in &report.notes {
        screen.line(&format!("note: {note}"));
    }
    let mail = report.mail.iter().map(|mail| format!("mail: {mail}"));
    let most = if all { usize::MAX } else { 1 };
    for line in report.local_time.iter().take(most) {
        screen.line(line);
    }
    // What needs attention stands at the end.
    for mail in mail.filter(|mail| !report.needs.contains(mail)) {
        screen.line(&mail);
    }
    zones(&mut screen, report);
    let now = report.presence.now;
    let since = |since| format!("for {}", duration(now.saturating_sub(since)));
    if let Some(line) = ways::in_words(&report.ways, since) {
        screen.line(&line);
    }
    cameras(&mut screen, report, all);
    let allowed: u64 = report
        .accounting
        .allow
        .iter()
        .map(|it| it.new_connections)
        .sum();
    let dropped: u64 = report.accounting.drops.iter().map(|it| it.packets).sum();
    screen.line(&format!(
        "\n{} let through, {} dropped (camfw status --all)",
        counted_word(allowed, "connection"),
        counted_word(dropped, "packet")
    ));
    let needs = || report.needs.iter().chain(&report.newly_tried);
    if needs().next().is_some() {
        screen.line("\nneeds attention:");
    }
    for line in needs() {
        screen.wrong(&format!("  {line}"));
    }
    if all {
        named(&mut screen, &report.names);
        counted(&mut screen, &report.accounting);
    }
    screen.text
}

fn state(screen: &mut Screen, report: &Report) {
    let mut text = report.state();
    if report.overdue.is_some() {
        text += ", OVERDUE";
    }
    let word = text.len();
    if let Some(seconds) = report.seconds_left {
        text += &format!(" ({seconds} s left)");
    }
    if let Some(seconds) = report.seconds {
        text += &format!(" for {}", duration(seconds));
    }
    for why in report.overdue.as_deref().iter().chain(report.why().iter()) {
        text += &format!("; {why}");
    }
    let good = report.exit_code() == ExitCode::Done;
    screen.state(&text, word, good);
}

fn zones(screen: &mut Screen, report: &Report) {
    if !report.presence.zones.is_empty() {
        screen.line(&format!("\n{:<12} {:<15} link", "zone", "interface"));
    }
    for zone in &report.presence.zones {
        let interface = &zone.interface;
        let link = hosts::link(interface);
        let line = format!("{:<12} {:<15} {link}", zone.name, interface.name);
        match interface.up && interface.link {
            true => screen.line(&line),
            false => screen.wrong(&line),
        }
    }
}

/// Those that need attention, and as many more as there is room for.
fn cameras(screen: &mut Screen, report: &Report, all: bool) {
    let presence = &report.presence;
    let is_wrong = |camera: &CameraPresence| {
        camera.state != CameraState::Seen || presence.problems_of(&camera.name).next().is_some()
    };
    let cameras = presence.zones.iter().flat_map(|zone| &zone.cameras);
    let mut cameras: Vec<&CameraPresence> = cameras.collect();
    if cameras.is_empty() {
        return;
    }
    cameras.sort_by_key(|camera| !is_wrong(camera));
    let most = if all { usize::MAX } else { MOST_CAMERAS };
    screen.line(&format!(
        "\n{:<20} {:<15} {:<19} {:>10} {:>10}",
        "camera", "address", "last seen", "packets", "refused"
    ));
    for camera in cameras.iter().take(most) {
        let refused = report.refused.cameras.iter();
        let mut refused = refused.filter(|it| it.name == camera.name);
        let packets = camera
            .packets
            .map_or_else(|| "?".to_owned(), |it| it.to_string());
        let mut name = camera.name.clone();
        if name.len() > 20 {
            name.truncate(18);
            name += "..";
        }
        let line = format!(
            "{name:<20} {:<15} {:<19} {packets:>10} {:>10}",
            camera.address,
            hosts::seen(camera, presence),
            refused.next().map_or(0, |it| it.packets)
        );
        match is_wrong(camera) {
            true => screen.wrong(&line),
            false => screen.line(&line),
        }
    }
    if cameras.len() > most {
        screen.line(&format!("and {} more: camfw hosts", cameras.len() - most));
    }
}

fn named(screen: &mut Screen, names: &[NameReport]) {
    if !names.is_empty() {
        screen.line("\nnames: addresses, and those that they had");
    }
    for name in names {
        let addresses: Vec<String> = name.addresses.iter().map(ToString::to_string).collect();
        let addresses = match addresses.is_empty() {
            true => "did not resolve yet".to_owned(),
            false => addresses.join(" "),
        };
        let former = match name.former.len() {
            0 => String::new(),
            count => format!("; {count} former"),
        };
        screen.line(&format!("{} {addresses}{former}", name.name));
        for former in &name.former {
            let good_for = match former.seconds_left {
                Some(seconds) => format!("new connections for {} more", duration(seconds)),
                None => "open connections alone".to_owned(),
            };
            let open = match former.open_connections {
                Some(count) => format!("{count} open"),
                None => "cannot tell how many are open".to_owned(),
            };
            screen.line(&format!("    {}: {good_for}, {open}", former.address));
        }
    }
}

fn counted(screen: &mut Screen, accounting: &Accounting) {
    let mut table = |title: &str, rows: &mut dyn Iterator<Item = (u64, u64, String)>| {
        for (place, (count, bytes, what)) in rows.enumerate() {
            if place == 0 {
                screen.line(&format!("\n{title}"));
            }
            screen.line(&format!("{count:>12} {bytes:>14}  {what}"));
        }
    };
    table(
        "allowed: new connections, bytes of their first packets",
        &mut accounting.allow.iter().map(|line| {
            let what = format!("{} {}", line.line, line.what);
            (line.new_connections, line.new_connection_bytes, what)
        }),
    );
    table(
        "from cameras: packets, bytes",
        &mut accounting.cameras.iter().map(|camera| {
            let what = format!("{} {}", camera.line, camera.name);
            (camera.packets, camera.bytes, what)
        }),
    );
    table(
        "dropped, by reason (chain): packets, bytes",
        &mut accounting.drops.iter().map(|drop| {
            let what = format!("{} ({})", drop.reason, drop.chain);
            (drop.packets, drop.bytes, what)
        }),
    );
}

/// A number of things, in words.
pub(super) fn counted_word(count: u64, what: &str) -> String {
    format!("{count} {what}{}", plural(count))
}

/// A duration in its two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}
