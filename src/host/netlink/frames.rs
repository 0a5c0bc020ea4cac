//! What processes a link's frames before or after the firewall: traffic control
//! filters, and additional addresses whose frames the link accepts.

use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, Nla, NlasIterator, Parseable,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcAttribute,
    TcFilterFlowerOption, TcFilterMatchAllOption, TcFilterU32Option, TcHandle, TcMessage, TcOption,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::libc;
use rtnetlink::{Error, Handle};

use super::read::Names;
use crate::name::MacAddress;
use crate::net::{FilterAction, Link, TrafficFilter};

/// Queueing disciplines whose classes may have filters of their own.
const CLASSFUL: &[&str] = &["drr", "ets", "hfsc", "htb", "prio", "qfq"];

/// Adds this information to each link that has any.
pub async fn complete(handle: &Handle, links: &mut [Link], names: &Names) -> Result<(), Error> {
    let own: Vec<MacAddress> = links.iter().filter_map(|link| link.mac).collect();
    for (index, mac) in also_received(handle).await? {
        if !own.contains(&mac)
            && let Some(link) = find(links, names, index)
        {
            link.also_receives.push(mac);
        }
    }
    for (index, filter) in filters(handle, names).await? {
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

/// The additional unicast addresses of devices (ndo_dflt_fdb_dump in
/// net/core/rtnetlink.c); the dump lists them as permanent entries.
async fn also_received(handle: &Handle) -> Result<Vec<(u32, MacAddress)>, Error> {
    let request = handle.neighbours().get();
    let request = request.set_address_family(AddressFamily::Bridge);
    let messages: Vec<NeighbourMessage> = match request.execute().try_collect().await {
        Err(error) if is_unsupported(&error) => Vec::new(),
        messages => messages?,
    };
    Ok(messages.iter().filter_map(unicast).collect())
}

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

async fn filters(handle: &Handle, names: &Names) -> Result<Vec<(u32, TrafficFilter)>, Error> {
    let mut found = Vec::new();
    let disciplines: Vec<TcMessage> = match handle.qdisc().get().execute().try_collect().await {
        // A kernel without CONFIG_NET_SCHED has none.
        Err(error) if is_unsupported(&error) => return Ok(found),
        disciplines => disciplines?,
    };
    for (index, parent) in parents(handle, &disciplines).await? {
        let Ok(number) = u32::try_from(index) else {
            continue;
        };
        let filters = match dump(handle, index, parent).await {
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
async fn parents(
    handle: &Handle,
    disciplines: &[TcMessage],
) -> Result<Vec<(i32, TcHandle)>, Error> {
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
            let classes = handle.traffic_class(index).get().execute();
            let classes: Vec<TcMessage> = match classes.try_collect().await {
                Err(error) if is_gone(&error) => continue,
                classes => classes?,
            };
            parents.extend(classes.iter().map(|class| (index, class.header.handle)));
        }
    }
    parents.dedup();
    Ok(parents)
}

async fn dump(handle: &Handle, index: i32, parent: TcHandle) -> Result<Vec<TcMessage>, Error> {
    let mut message = TcMessage::default();
    message.header.index = index;
    message.header.parent = parent;
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetTrafficFilter(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut answers = handle.clone().request(request)?;
    let mut filters = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewTrafficFilter(filter)) => {
                filters.push(filter);
            }
            NetlinkPayload::Error(error) => return Err(Error::NetlinkError(error)),
            _ => {}
        }
    }
    Ok(filters)
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

fn is_unsupported(error: &Error) -> bool {
    has_code(error, &[libc::EOPNOTSUPP, libc::EINVAL])
}

fn is_gone(error: &Error) -> bool {
    has_code(error, &[libc::ENODEV, libc::ENOENT, libc::EINVAL])
}

fn has_code(error: &Error, codes: &[i32]) -> bool {
    matches!(error, Error::NetlinkError(error) if codes.contains(&-error.raw_code()))
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
