//! `camfw status`: does the kernel hold what the file says, and what was counted?

use std::fmt::Write;
use std::path::Path;

use super::{REFUSED, complain, print};
use crate::accounting::Accounting;
use crate::apply::{self, Report};

/// It does not hold.
const DRIFT: u8 = 1;

pub fn run(config: &Path, json: bool) -> u8 {
    let report = match apply::status(config) {
        Ok(report) => report,
        Err(refusal) => {
            complain(&refusal.to_string());
            return REFUSED;
        }
    };
    print(&if json {
        to_json(&report)
    } else {
        to_text(&report)
    });
    if report.holds { 0 } else { DRIFT }
}

fn to_json(report: &Report) -> String {
    // Strings, numbers and lists of them: it does not fail.
    let text = serde_json::to_string(report).unwrap_or_default();
    text + "\n"
}

fn to_text(report: &Report) -> String {
    let mut text = match report.drift.len() {
        0 => "Applied: the kernel holds what the file says\n".to_owned(),
        count => format!("Drift: {count} differences\n"),
    };
    for difference in &report.drift {
        let _ = writeln!(text, "{difference}");
    }
    let _ = write!(text, "policy {}, {}", &report.policy[..12], report.outcome);
    if let Some(seconds) = report.seconds {
        let _ = write!(text, " for {}", duration(seconds));
    }
    let _ = match report.seconds_left {
        Some(seconds) => writeln!(text, "; taken back in {seconds} s unless confirmed"),
        None => writeln!(text, "; confirmation: {}", report.confirmation),
    };
    counted(&mut text, &report.accounting);
    text
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

/// The two largest units.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}
