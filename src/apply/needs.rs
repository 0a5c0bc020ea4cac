//! What needs attention of links, cameras and names, a line each.

use super::names::NameReport;
use crate::observe::presence::{CameraPresence, CameraState, Presence};

/// The most cameras that a line names.
const MOST_NAMED: usize = 5;

/// What needs attention, besides what differs.
pub(super) fn of(presence: &Presence, names: &[NameReport]) -> Vec<String> {
    let mut needs: Vec<String> = Vec::new();
    let problems = presence.problems.iter();
    needs.extend(problems.map(|problem| problem.text.clone()));
    for zone in &presence.zones {
        let (name, interface) = (&zone.name, &zone.interface.name);
        if zone.interface.up && !zone.interface.link {
            needs.push(format!(
                "zone {name}: interface {interface} has no link; look at its cable"
            ));
        }
        if zone.interface.lease == Some(false) {
            needs.push(format!("zone {name}: interface {interface} has no address"));
        }
        if zone.interface.lease6 == Some(false) {
            needs.push(format!(
                "zone {name}: interface {interface} has no IPv6 address; no router has advertised one yet"
            ));
        }
        let others = zone.others.len() + zone.others_left_out;
        if others > 0 && zone.is_for_cameras() {
            let line =
                format!("zone {name}: hosts that nobody listed: {others}; camfw hosts --toml");
            needs.push(line);
        }
    }
    let absent = |camera: &&CameraPresence| {
        let is_absent = matches!(camera.state, CameraState::Silent | CameraState::NeverSeen);
        is_absent && presence.problems_of(&camera.name).next().is_none()
    };
    let cameras = presence.zones.iter().flat_map(|zone| &zone.cameras);
    let absent: Vec<&str> = cameras.filter(absent).map(|it| it.name.as_str()).collect();
    if !absent.is_empty() {
        let mut named = absent[..absent.len().min(MOST_NAMED)].join(", ");
        if absent.len() > MOST_NAMED {
            named += &format!(" and {} more", absent.len() - MOST_NAMED);
        }
        needs.push(format!(
            "not seen for {} or ever: {named}; look at power and cable",
            presence.silence()
        ));
    }
    let unresolved = names.iter().filter(|name| name.addresses.is_empty());
    needs.extend(unresolved.map(|name| {
        format!(
            "{} did not resolve yet; camfw refresh asks again, and says why",
            name.name
        )
    }));
    needs.extend(presence.unread.iter().cloned());
    needs
}
