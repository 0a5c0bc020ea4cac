//! `camfw status`: compares the kernel with the file, and shows the counters.

use super::{CliError, Command, ExitCode, Flag, Given, print};
use std::fmt::Write;

use crate::apply::{self, NameReport, Report};
use crate::observe::accounting::Accounting;
use crate::policy::Recordable;

/// Why nothing is recorded that is refused.
pub(super) const NOT_RECORDING: &str =
    "NOT RECORDING what is refused: camfw watch does not run, or says in the log why\n";
pub(super) const NO_NFLOG: &str =
    "NOT RECORDING what is refused: this kernel has no NFLOG (CONFIG_NETFILTER_XT_TARGET_NFLOG)\n";

const JSON: Flag = Flag::switch("json", "for a program to read");

pub(super) const COMMAND: Command = Command::new(
    "status",
    "does the kernel hold what the file says, and what was counted?",
    run,
)
.about(
    "The state and since when; each difference between the file and the kernel's
rules, settings, addresses and routes; what names of hosts resolved to; what was
counted for each allow line, camera and reason to drop.",
)
.flags(&[JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let report = apply::status(&given.config())?;
    print(&if given.has(&JSON) {
        to_json(&report)
    } else {
        to_text(&report)
    });
    Ok(report.exit_code())
}

fn to_json(report: &Report) -> String {
    // Only strings, numbers and lists of them: serialization cannot fail.
    let text = serde_json::to_string(report).unwrap_or_default();
    text + "\n"
}

fn to_text(report: &Report) -> String {
    let mut text = report.state();
    if report.overdue.is_some() {
        text += ", OVERDUE";
    }
    if let Some(seconds) = report.seconds_left {
        let _ = write!(text, " ({seconds} s left)");
    }
    if let Some(seconds) = report.seconds {
        let _ = write!(text, " for {}", duration(seconds));
    }
    for why in report.overdue.as_deref().iter().chain(report.why().iter()) {
        let _ = write!(text, "; {why}");
    }
    text.push('\n');
    if let Some(policy) = &report.compared_with {
        let _ = match report.drift.len() {
            0 => writeln!(text, "the kernel holds policy {}", &policy[..12]),
            1 => writeln!(text, "1 difference from policy {}:", &policy[..12]),
            count => writeln!(text, "{count} differences from policy {}:", &policy[..12]),
        };
    }
    for difference in &report.drift {
        let _ = writeln!(text, "{difference}");
    }
    text += match (report.recordable, report.recording) {
        (Recordable::NotByThisKernel, _) => NO_NFLOG,
        (Recordable::Some, Some(false)) => NOT_RECORDING,
        _ => "",
    };
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    named(&mut text, &report.names);
    counted(&mut text, &report.accounting);
    text
}

fn named(text: &mut String, names: &[NameReport]) {
    if !names.is_empty() {
        let _ = writeln!(text, "\nnames: addresses, and those that they had");
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
        let _ = writeln!(text, "{} {addresses}{former}", name.name);
        for former in &name.former {
            let good_for = match former.seconds_left {
                Some(seconds) => format!("new connections for {} more", duration(seconds)),
                None => "open connections alone".to_owned(),
            };
            let open = match former.open_connections {
                Some(count) => format!("{count} open"),
                None => "cannot tell how many are open".to_owned(),
            };
            let _ = writeln!(text, "    {}: {good_for}, {open}", former.address);
        }
    }
}

fn counted(text: &mut String, accounting: &Accounting) {
    if !accounting.allow.is_empty() {
        let _ = writeln!(
            text,
            "\nallowed: new connections, bytes of their first packets"
        );
    }
    for line in &accounting.allow {
        let (count, bytes) = (line.new_connections, line.new_connection_bytes);
        let _ = writeln!(text, "{count:>12} {bytes:>14}  {} {}", line.line, line.what);
    }
    if !accounting.cameras.is_empty() {
        let _ = writeln!(text, "\nfrom cameras: packets, bytes");
    }
    for camera in &accounting.cameras {
        let (packets, bytes) = (camera.packets, camera.bytes);
        let _ = writeln!(
            text,
            "{packets:>12} {bytes:>14}  {} {}",
            camera.line, camera.name
        );
    }
    if !accounting.drops.is_empty() {
        let _ = writeln!(text, "\ndropped: packets, bytes");
    }
    for drop in &accounting.drops {
        let (packets, bytes) = (drop.packets, drop.bytes);
        let _ = writeln!(
            text,
            "{packets:>12} {bytes:>14}  {} ({})",
            drop.reason, drop.chain
        );
    }
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
