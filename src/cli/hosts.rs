//! `camfw hosts`: shows who is there, by zone.

use std::fmt::Write;

use super::error::UsageError;
use super::json::JSON;
use super::status::{counted_word, duration};
use super::{CliError, Command, ExitCode, Flag, Given, print};
use crate::apply;
use crate::json::to_json;
use crate::nearest::did_you_mean;
use crate::observe::presence::{
    CameraPresence, CameraState, InterfacePresence, Presence, UnlistedHost, ZonePresence, in_words,
};

const TOML: Flag = Flag::switch(
    "toml",
    "the hosts of camera zones that nobody listed, as [[cameras]]",
);

const ALL: Flag = Flag::switch("all", "the unlisted hosts of every zone, each in a line");
const ZONE: Flag = Flag::valued("zone", "NAME", "this zone alone, with all of its hosts");

pub(super) const COMMAND: Command = Command::new(
    "hosts",
    "who is there: which cameras, and which hosts that nobody listed?",
    run,
)
.about(
    "For each zone the link of its interface; each listed camera, and when it was there;
who has an address that a line names; hosts that nobody listed, of zones that are not
for cameras how many; and what is wrong: a camera on another zone's wire, another
address or hardware address than the file's, two devices with one address. Nothing is
sent: it is what the kernel, dnsmasq's leases and `camfw watch` know. --json has every
host. Exit 1 if something is wrong, could not be read, or no policy is in force.",
)
.flags(&[ALL, ZONE, TOML, JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let (toml, json) = (given.has(&TOML), given.has(&JSON));
    if toml && json {
        return Err(UsageError::Together("--toml or --json; leave one out").into());
    }
    let (all, zone) = (given.has(&ALL), given.file(&ZONE));
    if (all || zone.is_some()) && (toml || json) {
        return Err(UsageError::Together(
            "--all and --zone are for the text; leave them out, or --toml and --json",
        )
        .into());
    }
    let presence = apply::hosts(&given.config())?;
    if let Some(zone) = &zone {
        let names = presence.zones.iter().map(|zone| zone.name.as_str());
        if !names.clone().any(|name| name == zone) {
            let near = did_you_mean(zone, names);
            let near = near.unwrap_or_else(|| "camfw hosts names each".into());
            return Err(UsageError::Value {
                given: format!("--zone {zone}"),
                problem: format!("no zone is called so; {near}"),
            }
            .into());
        }
    }
    print(&match (toml, json) {
        (true, _) => to_toml(&presence),
        (_, true) => to_json(&presence) + "\n",
        _ => to_text(&presence, all, zone.as_deref()),
    });
    let is_read = presence.unread.is_empty();
    if toml {
        return Ok(ExitCode::of(is_read));
    }
    let is_in_force = super::tell_not_in_force();
    let is_well = presence.problems.is_empty() && is_read && is_in_force;
    Ok(ExitCode::of(is_well))
}

fn to_text(presence: &Presence, all: bool, only: Option<&str>) -> String {
    let mut text = String::new();
    let is_asked_for = |zone: &&ZonePresence| only.is_none_or(|only| zone.name == only);
    for zone in presence.zones.iter().filter(is_asked_for) {
        let (name, role, interface) = (&zone.name, zone.role, &zone.interface);
        let link = link(interface);
        let _ = writeln!(text, "{name} (role {role}) on {}: {link}", interface.name);
        for camera in &zone.cameras {
            let (name, address) = (&camera.name, camera.address);
            let seen = seen(camera, presence);
            let _ = writeln!(text, "  {name:<16} {address:<15} {seen}");
            for address in &camera.addresses6 {
                let _ = writeln!(text, "  {:<16} {address}", "");
            }
            for problem in presence.problems_of(name) {
                let _ = writeln!(text, "    WRONG: {}", problem.text);
            }
        }
        for host in &zone.named {
            let about = unlisted(host, presence.now);
            let _ = writeln!(text, "  named            {about}");
        }
        let count = (zone.others.len() + zone.others_left_out) as u64;
        // In a house each phone is one.
        if count > 0 && !all && only.is_none() && !zone.is_for_cameras() {
            let count = counted_word(count, "host");
            let name = &zone.name;
            let _ = writeln!(
                text,
                "  not listed       {count}; camfw hosts --zone {name}"
            );
            continue;
        }
        for host in &zone.others {
            let _ = writeln!(text, "  not listed       {}", unlisted(host, presence.now));
        }
        if zone.others_left_out > 0 {
            let _ = writeln!(text, "  and {} more not listed", zone.others_left_out);
        }
    }
    if !presence.watching {
        text += "camfw watch does not run: when a camera was there is known in part\n";
    }
    for unread in &presence.unread {
        let _ = writeln!(text, "not known: {unread}");
    }
    text
}

/// The condition of an interface's link in words.
pub(super) fn link(interface: &InterfacePresence) -> String {
    let mut text = match (interface.exists, interface.up, interface.link) {
        (false, ..) => "not there".to_owned(),
        (_, false, _) => "set down".to_owned(),
        (.., false) => "no link".to_owned(),
        _ => match interface.speed {
            Some(speed) => format!("link {speed} Mbit/s"),
            None => "link".to_owned(),
        },
    };
    if interface.lease == Some(false) {
        text += ", no address";
    }
    if interface.lease6 == Some(false) {
        text += ", no IPv6 address";
    }
    for address in interface.address.iter().chain(&interface.address6) {
        let _ = write!(text, ", {address}");
    }
    let errors = interface.receive_errors + interface.transmit_errors;
    if errors > 0 {
        let _ = write!(text, ", {errors} errors");
    }
    text
}

/// When a camera was there, in words.
pub(super) fn seen(camera: &CameraPresence, presence: &Presence) -> String {
    let last = camera.last_seen.unwrap_or_default();
    let ago = duration(presence.now.saturating_sub(last));
    match camera.state {
        CameraState::Seen => format!("seen {ago} ago"),
        CameraState::Silent => format!("silent for {ago}"),
        // A problem says where it was seen.
        CameraState::NeverSeen if presence.problems_of(&camera.name).next().is_some() => {
            "not here".to_owned()
        }
        CameraState::NeverSeen => "not seen yet".to_owned(),
        CameraState::Unknown if camera.packets.is_some() => "was there".to_owned(),
        CameraState::Unknown => "not known".to_owned(),
    }
}

fn unlisted(host: &UnlistedHost, now: u64) -> String {
    let mut text = match host.addresses.is_empty() {
        true => "no address".to_owned(),
        false => in_words(&host.addresses, host.more_addresses),
    };
    if let Some(hardware) = &host.hardware {
        let _ = write!(text, ", {hardware}");
    }
    let _ = match host.last_seen {
        Some(last) => write!(text, ", seen {} ago", duration(now.saturating_sub(last))),
        None => write!(text, ", has a lease"),
    };
    if let Some(name) = &host.calls_itself {
        let _ = write!(text, ", calls itself {name}");
    }
    if let Some(line) = &host.line {
        let _ = write!(text, ": {line}");
    }
    text
}

/// Tables for the file. Names are made of addresses, and never of what a host says.
fn to_toml(presence: &Presence) -> String {
    let mut text = String::new();
    for zone in presence.zones.iter().filter(|zone| zone.is_for_cameras()) {
        for host in &zone.others {
            let mut addresses = host.addresses.iter();
            let Some(address) = addresses.find(|address| address.is_ipv4()) else {
                let about = unlisted(host, presence.now);
                let _ = writeln!(text, "# zone {}, no IPv4 address yet: {about}\n", zone.name);
                continue;
            };
            let name = address.to_string().replace('.', "-");
            let about = unlisted(host, presence.now);
            let _ = writeln!(text, "[[cameras]]  # zone {}: {about}", zone.name);
            let _ = writeln!(text, "name = \"new-{name}\"\naddress = \"{address}\"");
            if let Some(hardware) = &host.hardware {
                let _ = writeln!(text, "mac = \"{hardware}\"");
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_of_a_house_are_counted() {
        let zone = |name: &str, role| ZonePresence {
            name: name.into(),
            role,
            interface: InterfacePresence::default(),
            cameras: Vec::new(),
            named: vec![UnlistedHost {
                hardware: Some("02:00:00:00:00:07".to_owned()),
                addresses: ["192.0.2.7".parse().ok()].into_iter().flatten().collect(),
                more_addresses: 0,
                last_seen: None,
                calls_itself: None,
                line: Some("camfw.toml:36".to_owned()),
            }],
            others: ["192.0.2.1", "192.0.2.2"]
                .into_iter()
                .filter_map(|address| address.parse().ok())
                .map(|address| UnlistedHost {
                    hardware: None,
                    addresses: vec![address],
                    more_addresses: 0,
                    last_seen: None,
                    calls_itself: None,
                    line: None,
                })
                .collect(),
            others_left_out: 0,
        };
        let presence = Presence {
            zones: vec![zone("yard", "camera"), zone("house", "private")],
            watching: true,
            ..Presence::default()
        };
        let yard = "yard (role camera) on : not there\n  named            192.0.2.7, 02:00:00:00:00:07, has a lease: camfw.toml:36\n";
        let house = "house (role private) on : not there\n  named            192.0.2.7, 02:00:00:00:00:07, has a lease: camfw.toml:36\n";
        let each = "  not listed       192.0.2.1, has a lease\n  not listed       192.0.2.2, has a lease\n";
        let counted = "  not listed       2 hosts; camfw hosts --zone house\n";
        assert_eq!(
            to_text(&presence, false, None),
            [yard, each, house, counted].concat()
        );
        assert_eq!(
            to_text(&presence, true, None),
            [yard, each, house, each].concat()
        );
        assert_eq!(
            to_text(&presence, false, Some("house")),
            [house, each].concat()
        );
        assert_eq!(to_json(&presence).matches("\"hardware\"").count(), 6);
    }
}
