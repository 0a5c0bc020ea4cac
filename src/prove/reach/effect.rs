//! The effect of targets and of routing on sets of packets.

use crate::family::IpFamily;
use crate::netfilter::Protocol;
use crate::prove::bounds::Bounds;
use crate::prove::packet::{Field, Interfaces, State};
use crate::prove::program::Effect;
use crate::prove::space::Space;
use camfw_diagrams::Set;

/// What a chain does with a set of packets: those it accepts, those that return, and those
/// that reach its end.
pub(super) struct Walked {
    pub(super) accept: Bounds,
    pub(super) back: Bounds,
    pub(super) rest: Bounds,
}

/// Packets with their outgoing interface open: any but the loopback.
pub(super) fn routed(space: &mut Space, flow: Bounds) -> Bounds {
    let last = space.interfaces.len() as u128 - 1;
    let outward = space.range(Field::Out, Interfaces::LOOPBACK + 1, last);
    let inward = space.range(Field::In, Interfaces::LOOPBACK + 1, last);
    let across = space.diagrams.and(inward, outward);
    let mut one = |set| {
        let set = space.forget(set, &[Field::Out]);
        space.diagrams.and(set, across)
    };
    let may = one(flow.may);
    let must = match flow.is_exact() {
        true => may,
        false => one(flow.must),
    };
    match space.forwarding_counts {
        true => passed_on(space, Bounds { may, must }),
        false => Bounds { may, must },
    }
}

/// Packets with the hop count lowered by one (ip_forward in net/ipv4/ip_forward.c, before
/// its hook). The exact value is not tracked: it becomes any number, and `must` keeps only
/// packets for which the old one did not matter.
pub(super) fn passed_on(space: &mut Space, flow: Bounds) -> Bounds {
    let left = space.range(Field::Hops, 1, 254);
    let may = space.forget(flow.may, &[Field::Hops]);
    let must = !space.forget(!flow.must, &[Field::Hops]);
    Bounds {
        may: space.diagrams.and(may, left),
        must: space.diagrams.and(must, left),
    }
}

pub(super) fn applied(space: &mut Space, effect: &Effect, taken: Bounds) -> Walked {
    let mut walked = Walked {
        accept: Bounds::NONE,
        back: Bounds::NONE,
        rest: Bounds::NONE,
    };
    let mut both = |change: &mut dyn FnMut(&mut Space, Set) -> Set| {
        let may = change(space, taken.may);
        let must = match taken.is_exact() {
            true => may,
            false => change(space, taken.must),
        };
        Bounds { may, must }
    };
    let forgotten = |space: &mut Space, field: Field| Bounds {
        may: space.forget(taken.may, &[field]),
        must: Set::EMPTY,
    };
    match effect {
        Effect::Accept => walked.accept = taken,
        Effect::Drop => {}
        Effect::Return => walked.back = taken,
        Effect::Mark(mark, mask) => {
            let (mark, mask) = (u128::from(*mark), u128::from(*mask));
            walked.rest = both(&mut |space, set| space.assigned(set, Field::Mark, mask, mark));
        }
        Effect::AnyMark => walked.rest = forgotten(space, Field::Mark),
        Effect::Hops(Some(hops)) => {
            let hops = u128::from(*hops);
            walked.rest = both(&mut |space, set| {
                let all = space.highest(Field::Hops);
                space.assigned(set, Field::Hops, all, hops)
            });
        }
        Effect::Hops(None) => walked.rest = forgotten(space, Field::Hops),
        Effect::Rewrite(field) => walked.rest = forgotten(space, *field),
        Effect::Copy => walked.rest = taken,
        Effect::Untrack => {
            let untracked = State::Untracked as u128;
            walked.rest = both(&mut |space, set| {
                let set = space.forget(set, &[Field::Dnat, Field::Snat]);
                let dnat = space.equal(Field::Dnat, 0);
                let snat = space.equal(Field::Snat, 0);
                let set = space.all(&[set, dnat, snat]);
                let all = space.highest(Field::State);
                space.assigned(set, Field::State, all, untracked)
            });
        }
        Effect::Dnat(Some(to), port) => {
            let (to, port) = (**to, *port);
            walked.accept = both(&mut |space, set| {
                let to = space.equal(Field::Destination, to);
                sent_to(space, set, to, port)
            });
        }
        Effect::Dnat(None, port) => walked.accept = to_router(space, taken, *port),
        Effect::AnyDnat(to, ports) => {
            let to = to.as_deref().map_or(Set::FULL, |(first, last)| {
                space.range(Field::Destination, *first, *last)
            });
            let may = match ports {
                Some((first, last)) => {
                    let (first, last) = (u128::from(*first), u128::from(*last));
                    let ports = space.range(Field::DestinationPort, first, last);
                    let to = space.diagrams.and(to, ports);
                    space.redirected(taken.may, to, &[])
                }
                None => space.redirected(taken.may, to, &[Field::DestinationPort]),
            };
            // A packet that already goes there is not rewritten.
            let may = space.diagrams.or(may, taken.may);
            walked.accept = Bounds {
                may,
                must: Set::EMPTY,
            };
        }
        _ => {
            let maybe = forgotten(space, Field::Mark);
            walked = Walked {
                accept: maybe,
                back: maybe,
                rest: maybe,
            };
        }
    }
    walked
}

/// Rewrites destinations. A packet that already goes there is not rewritten
/// (nf_nat_setup_info in net/netfilter/nf_nat_core.c).
pub(super) fn sent_to(space: &mut Space, set: Set, to: Set, port: Option<u16>) -> Set {
    let mut there = space.diagrams.and(set, to);
    if let Some(port) = port {
        let port = space.equal(Field::DestinationPort, port.into());
        there = space.diagrams.and(there, port);
    }
    let others = space.diagrams.minus(set, there);
    let sent = with_port(space, others, to, port);
    space.diagrams.or(sent, there)
}

/// RELATED packets that are not ICMP errors: first packets of connections that a helper
/// expected.
pub(super) fn expected(space: &mut Space) -> Set {
    let related = space.states(&[State::Related]);
    let protocol = match space.family {
        IpFamily::V4 => Protocol::Icmp,
        IpFamily::V6 => Protocol::Icmpv6,
    };
    let icmp = space.equal(Field::Protocol, protocol.number().into());
    space.diagrams.minus(related, icmp)
}

/// ICMP redirects about connections with rewritten addresses: the kernel drops them in nat
/// (nf_nat_icmp_reply_translation in net/netfilter/nf_nat_proto.c).
pub(super) fn redirects_about_rewritten(space: &mut Space) -> Set {
    let (protocol, redirect) = match space.family {
        IpFamily::V4 => (Protocol::Icmp, 5),
        IpFamily::V6 => (Protocol::Icmpv6, 137),
    };
    let dnat = space.equal(Field::Dnat, 1);
    let snat = space.equal(Field::Snat, 1);
    let rewritten = space.diagrams.or(dnat, snat);
    let parts = [
        space.states(&[State::Related]),
        space.equal(Field::Protocol, protocol.number().into()),
        space.equal(Field::IcmpType, redirect),
        rewritten,
    ];
    space.all(&parts)
}

pub(super) fn with_port(space: &mut Space, set: Set, to: Set, port: Option<u16>) -> Set {
    match port {
        Some(port) => {
            let port = space.equal(Field::DestinationPort, port.into());
            let to = space.diagrams.and(to, port);
            space.redirected(set, to, &[])
        }
        None => space.redirected(set, to, &[Field::DestinationPort]),
    }
}

/// Redirects packets to the router's own address on the incoming interface, or to the
/// loopback address if they come from the router (nf_nat_redirect_ipv4).
pub(super) fn to_router(space: &mut Space, taken: Bounds, port: Option<u16>) -> Bounds {
    let mut known = Set::EMPTY;
    let mut accept = Bounds::NONE;
    for (interface, address) in space.own_addresses.clone() {
        let here = space.equal(Field::In, interface);
        known = space.diagrams.or(known, here);
        let to = space.equal(Field::Destination, address);
        let here = space.and(taken, Bounds::exactly(here));
        let sent = Bounds {
            may: sent_to(space, here.may, to, port),
            must: sent_to(space, here.must, to, port),
        };
        accept = space.or(accept, sent);
    }
    let elsewhere = space.diagrams.minus(taken.may, known);
    let sent = with_port(space, elsewhere, Set::FULL, port);
    let maybe = Bounds {
        may: space.diagrams.or(sent, elsewhere),
        must: Set::EMPTY,
    };
    space.or(accept, maybe)
}
