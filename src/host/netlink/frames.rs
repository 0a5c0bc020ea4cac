//! What processes a link's frames before or after the firewall: traffic control
//! filters, additional addresses whose frames the link accepts, and the forwarding entries of
//! bridges.

use std::io;

use netlink_packet_core::{Nla, NlasIterator, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcAttribute,
    TcFilterFlowerOption, TcFilterMatchAllOption, TcFilterU32Option, TcHandle, TcMessage, TcOption,
};
use nix::libc;

use super::connection::NetlinkConnection;
use super::link::six_bytes;
use super::read::Names;
use crate::name::MacAddress;
use crate::net::{FilterAction, ForwardingEntry, Held, Link, TrafficFilter};

/// Queueing disciplines whose classes may have filters of their own.
const CLASSFUL: &[&str] = &["drr", "ets", "hfsc", "htb", "prio", "qfq"];

/// Adds this information to each link that has any.
pub fn complete(
    connection: &mut NetlinkConnection,
    forwarding: &[NeighbourMessage],
    links: &mut [Link],
    names: &Names,
) -> io::Result<()> {
    let own: Vec<MacAddress> = links.iter().filter_map(|link| link.mac).collect();
    for (index, mac) in forwarding.iter().filter_map(unicast) {
        if !own.contains(&mac)
            && let Some(link) = find(links, names, index)
        {
            link.also_receives.push(mac);
        }
    }
    for (index, filter) in filters(connection, names)? {
        if let Some(link) = find(links, names, index) {
            link.filters.push(filter);
        }
    }
    Ok(())
}

fn find<'a>(links: &'a mut [Link], names: &Names, index: u32) -> Option<&'a mut Link> {
    let name = names.get(&index)?;
    links.iter_mut().find(|link| link.name == *name)
}

/// The forwarding entries of bridges, and those that devices have themselves.
pub fn forwarding(connection: &mut NetlinkConnection) -> io::Result<Vec<NeighbourMessage>> {
    let mut request = NeighbourMessage::default();
    request.header.family = AddressFamily::Bridge;
    match connection.dump(libc::RTM_GETNEIGH, &request) {
        Err(error) if is_unsupported(&error) => Ok(Vec::new()),
        messages => messages,
    }
}

/// The entries of bridges that let frames in by a locked port, or would as soon as it is one.
pub fn bridged(
    forwarding: &[NeighbourMessage],
    links: &[Link],
    names: &Names,
) -> Vec<Held<ForwardingEntry>> {
    let locked = |port: &str| links.iter().any(|link| link.name == port && link.locked);
    let held = forwarding.iter().filter_map(|message| {
        let header = &message.header;
        let is_static = header.state == NeighbourState::Noarp;
        let (mut mac, mut bridge, mut of_vlan) = (None, None, false);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = six_bytes(bytes),
                NeighbourAttribute::Controller(index) => bridge = names.get(index),
                NeighbourAttribute::Vlan(_) => of_vlan = true,
                _ => {}
            }
        }
        let value = ForwardingEntry {
            mac: mac?,
            port: names.get(&header.ifindex)?.clone(),
            bridge: bridge?.clone(),
        };
        // Those of the bridge and its ports themselves are permanent; no port lets them in.
        let lasts = is_static || header.flags.contains(NeighbourFlags::ExtLearned);
        let matters = header.state != NeighbourState::Permanent && (lasts || locked(&value.port));
        let ours = is_static && header.flags.contains(NeighbourFlags::Sticky) && !of_vlan;
        matters.then_some(Held { value, ours })
    });
    held.collect()
}

/// An additional unicast address of a device (ndo_dflt_fdb_dump in net/core/rtnetlink.c),
/// which is listed as a permanent entry.
fn unicast(message: &NeighbourMessage) -> Option<(u32, MacAddress)> {
    let attributes = &message.attributes;
    // An entry with a controller, or with a VXLAN remote, was learnt by a bridge.
    let learnt = attributes.iter().any(|attribute| {
        matches!(
            attribute,
            NeighbourAttribute::Controller(_) | NeighbourAttribute::Destination(_)
        )
    });
    let bytes = attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    })?;
    let is_group = bytes[0] & 1 == 1 || bytes == [0; 6];
    let own = message.header.flags.contains(NeighbourFlags::Own);
    (own && !learnt && !is_group).then(|| (message.header.ifindex, MacAddress::from(bytes)))
}

fn filters(
    connection: &mut NetlinkConnection,
    names: &Names,
) -> io::Result<Vec<(u32, TrafficFilter)>> {
    let mut found = Vec::new();
    let request = TcMessage::default();
    let disciplines: Vec<TcMessage> = match connection.dump(libc::RTM_GETQDISC, &request) {
        // A kernel without CONFIG_NET_SCHED has none.
        Err(error) if is_unsupported(&error) => return Ok(found),
        disciplines => disciplines?,
    };
    for (index, parent) in parents(connection, &disciplines)? {
        let Ok(number) = u32::try_from(index) else {
            continue;
        };
        let filters = match dump(connection, libc::RTM_GETTFILTER, index, parent) {
            // The link or its queueing discipline has been removed meanwhile.
            Err(error) if is_gone(&error) => continue,
            messages => messages?,
        };
        for filter in filters.iter().filter_map(|message| filter(message, names)) {
            let entry = (number, filter);
            if !found.contains(&entry) {
                found.push(entry);
            }
        }
    }
    Ok(found)
}

/// The possible parents of filters: the two hooks of `clsact`, of which `ingress` has
/// one, and other queueing disciplines and their classes.
fn parents(
    connection: &mut NetlinkConnection,
    disciplines: &[TcMessage],
) -> io::Result<Vec<(i32, TcHandle)>> {
    let mut parents = Vec::new();
    for discipline in disciplines {
        let index = discipline.header.index;
        let kind = kind(discipline);
        if kind == "clsact" || kind == "ingress" {
            for minor in [TcHandle::MIN_INGRESS, TcHandle::MIN_EGRESS] {
                let major = u16::MAX;
                parents.push((index, TcHandle { major, minor }));
            }
        } else if discipline.header.handle != TcHandle::UNSPEC {
            parents.push((index, discipline.header.handle));
        }
        if CLASSFUL.contains(&kind) {
            let classes = dump(connection, libc::RTM_GETTCLASS, index, TcHandle::UNSPEC);
            let classes = match classes {
                Err(error) if is_gone(&error) => continue,
                classes => classes?,
            };
            parents.extend(classes.iter().map(|class| (index, class.header.handle)));
        }
    }
    parents.dedup();
    Ok(parents)
}

/// Dumps the filters or classes below a parent.
fn dump(
    connection: &mut NetlinkConnection,
    kind: u16,
    index: i32,
    parent: TcHandle,
) -> io::Result<Vec<TcMessage>> {
    let mut request = TcMessage::default();
    request.header.index = index;
    request.header.parent = parent;
    connection.dump(kind, &request)
}

fn kind(message: &TcMessage) -> &str {
    let kind = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            TcAttribute::Kind(kind) => Some(kind.as_str()),
            _ => None,
        });
    kind.unwrap_or_default()
}

/// A complete filter of a chain. A dump also contains entries with only a protocol and
/// priority, and the hash tables of u32, which have no options or no actions.
fn filter(message: &TcMessage, names: &Names) -> Option<TrafficFilter> {
    let options = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        })?;
    let actions = options.iter().flat_map(|option| match option {
        TcOption::U32(TcFilterU32Option::Action(actions))
        | TcOption::MatchAll(TcFilterMatchAllOption::Action(actions))
        | TcOption::Flower(TcFilterFlowerOption::Actions(actions)) => actions.as_slice(),
        _ => &[],
    });
    let mut actions: Vec<FilterAction> = actions.map(|one| action(one, names)).collect();
    let kind = kind(message);
    if let Some((_, number)) = ACTIONS.iter().find(|(name, _)| *name == kind) {
        for option in options {
            actions.extend(unparsed_actions(option, *number, names));
        }
    }
    Some(TrafficFilter {
        kind: kind.to_owned(),
        actions,
    })
}

/// The attribute number of the actions, for each kind of filter whose options the crate
/// does not parse: TCA_BASIC_ACT and so on (linux/pkt_cls.h).
const ACTIONS: [(&str, u16); 4] = [("basic", 3), ("flow", 9), ("fw", 4), ("route", 6)];

/// The actions in unparsed options. Options that cannot be decoded may do anything.
fn unparsed_actions(option: &TcOption, number: u16, names: &Names) -> Vec<FilterAction> {
    let TcOption::Other(options) = option else {
        return Vec::new();
    };
    let mut bytes = vec![0; options.value_len()];
    options.emit_value(&mut bytes);
    let attributes = NlasIterator::new(bytes.as_slice()).filter_map(Result::ok);
    let lists = attributes.filter(|attribute| attribute.kind() == number);
    let actions = lists.flat_map(|list| {
        let actions = NlasIterator::new(list.value()).map(|one| {
            let parsed = one.and_then(|one| TcAction::parse(&one));
            match parsed {
                Ok(parsed) => action(&parsed, names),
                Err(error) => FilterAction::Other(error.to_string()),
            }
        });
        actions.collect::<Vec<_>>()
    });
    actions.collect()
}

fn action(action: &TcAction, names: &Names) -> FilterAction {
    let mut kind = "";
    let mut to = None;
    for attribute in &action.attributes {
        match attribute {
            TcActionAttribute::Kind(name) => kind = name,
            TcActionAttribute::Options(options) => {
                for option in options {
                    if let TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror)) = option {
                        to = names.get(&mirror.ifindex).cloned();
                    }
                }
            }
            _ => {}
        }
    }
    match kind {
        "gact" | "police" => FilterAction::Limit,
        "mirred" => FilterAction::Redirect(to),
        other => FilterAction::Other(other.to_owned()),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    has_code(error, &[libc::EOPNOTSUPP, libc::EINVAL])
}

fn is_gone(error: &io::Error) -> bool {
    has_code(error, &[libc::ENODEV, libc::ENOENT, libc::EINVAL])
}

fn has_code(error: &io::Error, codes: &[i32]) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{DefaultNla, Emitable};
    use netlink_packet_route::tc::{TcFilterBpfOption, TcMirror};

    use super::*;

    /// Decodes a filter in the format that the kernel sends.
    fn read(kind: &str, options: Vec<TcOption>) -> Option<TrafficFilter> {
        let message = TcMessage::from_parts(
            Default::default(),
            vec![
                TcAttribute::Kind(kind.into()),
                TcAttribute::Options(options),
            ],
        );
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let message = TcMessage::parse(&bytes).ok()?;
        filter(&message, &Names::from([(7, "eth0".to_owned())]))
    }

    fn mirred(to: u32) -> TcAction {
        let mut mirror = TcMirror::default();
        mirror.ifindex = to;
        let mut action = TcAction::default();
        action.attributes = vec![
            TcActionAttribute::Kind("mirred".into()),
            TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(
                mirror,
            ))]),
        ];
        action
    }

    #[test]
    fn filters_of_kinds_that_are_not_in_every_kernel_are_read() {
        let bpf = read("bpf", vec![TcOption::Bpf(TcFilterBpfOption::ProgId(3))]);
        assert_eq!(
            bpf.map(|filter| (filter.kind, filter.actions)),
            Some(("bpf".into(), Vec::new()))
        );
        for (kind, option) in [
            (
                "flower",
                TcOption::Flower(TcFilterFlowerOption::Actions(vec![mirred(7)])),
            ),
            (
                "matchall",
                TcOption::MatchAll(TcFilterMatchAllOption::Action(vec![mirred(7)])),
            ),
            (
                "u32",
                TcOption::U32(TcFilterU32Option::Action(vec![mirred(7)])),
            ),
        ] {
            let found = read(kind, vec![option]);
            let actions = found.map(|filter| filter.actions);
            let to = FilterAction::Redirect(Some("eth0".into()));
            assert_eq!(actions, Some(vec![to]), "{kind}");
        }
        for (kind, number) in ACTIONS {
            let actions = vec![mirred(7)];
            let mut list = vec![0; actions.as_slice().buffer_len()];
            actions.as_slice().emit(&mut list);
            let options = [(100, vec![0; 4]), (number, list)];
            let options =
                options.map(|(kind, value)| TcOption::Other(DefaultNla::new(kind, value)));
            let found = read(kind, options.to_vec());
            let actions = found.map(|filter| filter.actions);
            let to = FilterAction::Redirect(Some("eth0".into()));
            assert_eq!(actions, Some(vec![to]), "{kind}");
        }
        let elsewhere = TcOption::U32(TcFilterU32Option::Action(vec![mirred(9)]));
        let found = read("u32", vec![elsewhere]).map(|filter| filter.actions);
        assert_eq!(found, Some(vec![FilterAction::Redirect(None)]));
    }
}
