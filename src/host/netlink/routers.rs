//! What the kernel's neighbour entries say of routers. Has the kernel look again, by its own
//! probes.

use std::net::IpAddr;

use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use nix::libc;

use super::connection::{NetlinkConnection, REPLACE};
use super::seen::neighbour_address;
use super::{NetlinkError, read, write};
use crate::net::RouterAnswer;

/// Asks for the routers, each given with its link, and says what was known before.
pub fn ask(
    connection: &mut NetlinkConnection,
    routers: &[(String, IpAddr)],
) -> Result<Vec<RouterAnswer>, NetlinkError> {
    let failed = |error| NetlinkError::Read {
        what: "neighbours",
        error,
    };
    let indexes = read::indexes(connection)?;
    let entries = read::dumped_neighbours(connection).map_err(failed)?;
    let mut answers = Vec::new();
    for (link, router) in routers {
        let Some(index) = indexes.get(link) else {
            answers.push(RouterAnswer::Unknown);
            continue;
        };
        let mut entries = entries.iter();
        let state = entries.find_map(|entry| {
            let is_it = entry.header.ifindex == *index && neighbour_address(entry) == Some(*router);
            is_it.then_some(entry.header.state)
        });
        answers.push(match state {
            Some(NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Noarp) => {
                RouterAnswer::Answers
            }
            Some(NeighbourState::Failed) => RouterAnswer::Silent,
            Some(NeighbourState::Incomplete) => RouterAnswer::Asked,
            _ => RouterAnswer::Unknown,
        });
        let (state, flags) = match state {
            // One that has a hardware address is asked at that, three times a second apart;
            // what is sent to it goes on meanwhile (neigh_timer_handler in
            // net/core/neighbour.c).
            Some(NeighbourState::Reachable | NeighbourState::Stale) => {
                (NeighbourState::Probe, NeighbourFlags::empty())
            }
            // By NTF_USE as if something were sent to it (neigh_add).
            None | Some(NeighbourState::None | NeighbourState::Failed) => {
                (NeighbourState::None, NeighbourFlags::Use)
            }
            // Asked for already, or set by somebody.
            Some(_) => continue,
        };
        let mut message = write::permanent(*index, *router);
        (message.header.state, message.header.flags) = (state, flags);
        // The link may be down or gone by now: then the entry says nothing, as before.
        let _ = connection.change(libc::RTM_NEWNEIGH, REPLACE, &message);
    }
    Ok(answers)
}
