//! `camfw metrics`, and the same as a file that `watch` writes for node_exporter.

use std::path::Path;

use super::state::InForce;
use super::status::{self, Report};
use crate::error::with_causes;
use crate::host::store;
use crate::host::sysctl::get;
use crate::observe::openmetrics::{Metric, MetricFormat, metric_text};
use crate::plan::sysctl::{self, Key};
use crate::source::Refusal;

/// The metrics of this box, as OpenMetrics.
///
/// # Errors
/// Returns the refusal of the file.
pub(crate) fn metrics(config: &Path) -> Result<(String, Report), Refusal> {
    let report = status::status(config)?;
    let text = metric_text(&of(&report), MetricFormat::OpenMetrics);
    Ok((text, report))
}

/// Writes them to a file for node_exporter. Returns what went wrong.
pub(super) fn write(report: &Report, file: &str) -> Option<String> {
    let text = metric_text(&of(report), MetricFormat::Prometheus);
    let written = store::publish(Path::new(file), &text);
    written.err().map(|error| with_causes(&error))
}

fn of(report: &Report) -> Vec<Metric> {
    let mut state = Metric::gauge("camfw_state", "Whether the box is in this state.");
    for name in InForce::NAMES {
        state.add(
            &[("state", name)],
            u64::from(report.in_force.name() == name),
        );
    }
    let is = |name, help, value: bool| Metric::gauge(name, help).with(&[], u64::from(value));
    let mut all = vec![
        state,
        is(
            "camfw_holds",
            "Whether the kernel is as the file says.",
            report.holds,
        ),
        Metric::gauge(
            "camfw_drift",
            "Differences between the kernel and the policy in force.",
        )
        .with(&[], report.drift.len() as u64),
        Metric::gauge("camfw_needs", "Things that need attention, besides drift.")
            .with(&[], report.needs.len() as u64),
    ];
    let mut add = |name, help, value: Option<u64>| {
        all.extend(value.map(|value| Metric::gauge(name, help).with(&[], value)));
    };
    add(
        "camfw_applied_timestamp_seconds",
        "When the state was entered.",
        report.since,
    );
    add(
        "camfw_recording",
        "Whether camfw watch records what is refused.",
        report.recording.map(u64::from),
    );
    add(
        "camfw_conntrack_entries",
        "Connections in the kernel's table.",
        number(&sysctl::entries_in_table()),
    );
    add(
        "camfw_conntrack_entries_limit",
        "Connections that it has room for.",
        number(&sysctl::most_entries_in_table()),
    );
    if let Some(queue) = &report.mail_queue {
        for (name, help, value) in [
            (
                "camfw_mail_files",
                "Uploads that wait to be sent as mail.",
                queue.files,
            ),
            (
                "camfw_mail_last_sent_timestamp_seconds",
                "When the mail server last took a mail; 0 is never since the boot.",
                queue.last_sent.unwrap_or(0),
            ),
            (
                "camfw_mail_not_taken_since_timestamp_seconds",
                "Since when it takes none; 0 while it does.",
                queue.not_taken_since.unwrap_or(0),
            ),
        ] {
            add(name, help, Some(value));
        }
    }
    let running = report.mail.as_ref().map(|_| report.mail_queue.is_some());
    add(
        "camfw_mail_running",
        "Whether camfw-mail runs.",
        running.map(u64::from),
    );
    if let Some(policy) = &report.compared_with {
        let info = Metric::gauge(
            "camfw_policy_info",
            "The policy that the kernel was compared with.",
        );
        all.push(info.with(&[("sha256", policy)], 1));
    }
    zones(&mut all, report);
    ways(&mut all, report);
    cameras(&mut all, report);
    counted(&mut all, report);
    all
}

fn number(key: &Key) -> Option<u64> {
    get(key).ok()??.trim().parse().ok()
}

fn zones(all: &mut Vec<Metric>, report: &Report) {
    let mut up = Metric::gauge("camfw_link_up", "Whether an interface has a link.");
    let mut speed = Metric::gauge(
        "camfw_link_speed_bytes",
        "Bytes that a link carries in a second.",
    );
    let mut errors = Metric::counter(
        "camfw_link_errors",
        "Frames that came damaged or could not be sent.",
    );
    let mut lease = Metric::gauge(
        "camfw_lease",
        "Whether an interface has the address that DHCP or another program brings.",
    );
    let mut unlisted = Metric::gauge(
        "camfw_unlisted_hosts",
        "Hosts of a zone that nobody listed.",
    );
    for zone in &report.presence.zones {
        let interface = &zone.interface;
        let labels = [
            ("zone", zone.name.as_str()),
            ("interface", interface.name.as_str()),
        ];
        up.add(&labels, u64::from(interface.up && interface.link));
        if let Some(megabits) = interface.speed {
            speed.add(&labels, u64::from(megabits) * 125_000);
        }
        let [zone_label, name] = labels;
        errors.add(
            &[zone_label, name, ("direction", "receive")],
            interface.receive_errors,
        );
        errors.add(
            &[zone_label, name, ("direction", "transmit")],
            interface.transmit_errors,
        );
        if let Some(held) = interface.lease {
            lease.add(&labels, u64::from(held));
        }
        unlisted.add(
            &labels[..1],
            (zone.others.len() + zone.others_left_out) as u64,
        );
    }
    all.extend([up, speed, errors, lease, unlisted]);
}

fn ways(all: &mut Vec<Metric>, report: &Report) {
    let mut alive = Metric::gauge("camfw_way_out_alive", "Whether a way out is alive.");
    let mut in_use = Metric::gauge(
        "camfw_way_out_in_use",
        "Whether the default route leads by a way out.",
    );
    for way in &report.ways {
        let labels = [
            ("zone", way.zone.as_str()),
            ("interface", way.interface.as_str()),
        ];
        alive.add(&labels, u64::from(way.alive));
        in_use.add(&labels, u64::from(way.in_use));
    }
    if !report.ways.is_empty() {
        all.extend([alive, in_use]);
    }
}

fn cameras(all: &mut Vec<Metric>, report: &Report) {
    let mut last = Metric::gauge(
        "camfw_camera_last_seen_timestamp_seconds",
        "When a camera was there, or later; 0 if never.",
    );
    let mut lease = Metric::gauge(
        "camfw_camera_lease_expiry_timestamp_seconds",
        "When a camera's lease ends; 0 is never.",
    );
    let mut problem = Metric::gauge(
        "camfw_host_problem",
        "What is wrong with a camera, as in camfw hosts.",
    );
    let mut silent = Metric::gauge(
        "camfw_camera_silent_after_seconds",
        "After how long without a packet a camera is silent.",
    );
    silent.add(&[], report.presence.silent_after);
    all.push(silent);
    for zone in &report.presence.zones {
        for camera in &zone.cameras {
            let labels = [
                ("camera", camera.name.as_str()),
                ("zone", zone.name.as_str()),
            ];
            let never = (camera.packets == Some(0)).then_some(0);
            if let Some(seen) = camera.last_seen.or(never) {
                last.add(&labels, seen);
            }
            if let Some(until) = camera.lease_until {
                lease.add(&labels, until);
            }
        }
    }
    for it in &report.presence.problems {
        let labels = [
            ("camera", it.camera.as_str()),
            ("kind", it.kind.as_str()),
            ("zone", it.zone.as_str()),
        ];
        problem.add(&labels, 1);
    }
    let mut refused = Metric::gauge(
        "camfw_camera_refused_packets",
        "Packets of a camera that were refused, as far as they are recorded.",
    );
    let mut attempts = Metric::gauge(
        "camfw_camera_refused_attempts",
        "Different things that a camera tried and may not, as far as they are recorded.",
    );
    let mut newest = Metric::gauge(
        "camfw_camera_new_attempt_timestamp_seconds",
        "When a camera last tried something that it may not and had not tried before.",
    );
    for camera in &report.refused.cameras {
        let labels = [("camera", camera.name.as_str())];
        refused.add(&labels, camera.packets);
        attempts.add(&labels, camera.attempts);
        if let Some(when) = camera.newest {
            newest.add(&labels, when);
        }
    }
    let given_up = Metric::counter(
        "camfw_refused_entries_given_up",
        "Entries of the record that had no room.",
    );
    let lost = Metric::counter(
        "camfw_refused_losses",
        "How often packets came faster than they were read.",
    );
    all.extend([
        last,
        lease,
        problem,
        refused,
        attempts,
        newest,
        given_up.with(&[], report.refused.given_up),
        lost.with(&[], report.refused.lost),
    ]);
}

fn counted(all: &mut Vec<Metric>, report: &Report) {
    let accounting = &report.accounting;
    let mut connections = Metric::counter(
        "camfw_allowed_connections",
        "New connections that an allow line let through.",
    );
    let mut first = Metric::counter("camfw_allowed_first_bytes", "Bytes of their first packets.");
    for line in &accounting.allow {
        let labels = [
            ("line", line.line.as_str()),
            ("service", line.what.as_str()),
        ];
        connections.add(&labels, line.new_connections);
        first.add(&labels, line.new_connection_bytes);
    }
    let mut packets = Metric::counter(
        "camfw_camera_packets",
        "Packets from a camera that were not spoofed.",
    );
    let mut bytes = Metric::counter("camfw_camera_bytes", "Bytes of these packets.");
    for camera in &accounting.cameras {
        let labels = [("camera", camera.name.as_str())];
        packets.add(&labels, camera.packets);
        bytes.add(&labels, camera.bytes);
    }
    let mut dropped = Metric::counter(
        "camfw_dropped_packets",
        "Packets that were dropped for a reason.",
    );
    let mut dropped_bytes = Metric::counter("camfw_dropped_bytes", "Bytes of these packets.");
    for drop in &accounting.drops {
        let labels = [
            ("reason", drop.reason.as_str()),
            ("chain", drop.chain.as_str()),
        ];
        dropped.add(&labels, drop.packets);
        dropped_bytes.add(&labels, drop.bytes);
    }
    all.extend([connections, first, packets, bytes, dropped, dropped_bytes]);
}
