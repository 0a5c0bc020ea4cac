//! Which addresses a packet may have, by what is known of the networks: what the kernel
//! forwards under no rules, and what a packet that is shown should rather have.

use super::hook_path::HookPath;
use super::networks::{InterfaceNetworks, nearest};
use super::packet::Field;
use super::program::Program;
use super::space::Space;
use crate::family::IpFamily;
use camfw_diagrams::Set;

/// The interface that the router's own addresses are behind.
pub(in crate::prove) const LOOPBACK: &str = "lo";

/// Whether networks are of no interface that hosts are behind.
pub(crate) fn only_loopback(behind: &[InterfaceNetworks]) -> bool {
    behind.iter().all(|it| it.interface == LOOPBACK)
}

/// The packets whose field is an address of the router, as far as these are known.
pub(super) fn own(space: &mut Space, behind: &[InterfaceNetworks], field: Field) -> Set {
    let place = behind.iter().position(|it| it.interface == LOOPBACK);
    place.map_or(Set::EMPTY, |place| nearest(behind, place, space, field))
}

/// The packets that the kernel routes to no other host, whatever the rules say: to the
/// router itself, to a loopback, to all hosts or to a group of one link, and from what is no
/// host's address. IPv4: ip_route_input_slow, ip_route_input_mc and __fib_validate_source
/// (accept_local and route_localnet are off by default) in net/ipv4/route.c and
/// fib_frontend.c. IPv6, where the router's own address is no martian source: ip6_forward in
/// net/ipv6/ip6_output.c, ip6_mc_input in ip6_input.c.
pub(super) fn never_forwarded(
    space: &mut Space,
    program: &Program<'_>,
    behind: &[InterfaceNetworks],
) -> Set {
    // A copy is sent to its gateway, wherever its original went (nf_dup_ipv4.c).
    if program.copies {
        return Set::EMPTY;
    }
    let mut sets = vec![own(space, behind, Field::Destination)];
    match space.family {
        IpFamily::V4 => {
            for field in [Field::Source, Field::Destination] {
                sets.push(space.masked(field, 0xff00_0000, 0x7f00_0000));
                sets.push(space.equal(field, 0));
                sets.push(space.equal(field, u32::MAX.into()));
            }
            sets.push(space.masked(Field::Destination, 0xffff_ff00, 0xe000_0000));
            sets.push(space.masked(Field::Source, 0xf000_0000, 0xe000_0000));
            sets.push(own(space, behind, Field::Source));
        }
        IpFamily::V6 => {
            for field in [Field::Source, Field::Destination] {
                sets.push(space.range(field, 0, 1));
            }
            for scope in [1, 2] {
                let group = 0xff00 | scope;
                sets.push(space.masked(Field::Destination, 0xff0f << 112, group << 112));
            }
            sets.push(space.masked(Field::Source, 0xff << 120, 0xff << 120));
            sets.push(space.masked(Field::Source, 0xffc0 << 112, 0xfe80 << 112));
        }
    }
    space.diagrams.union(&sets)
}

/// What the addresses of a packet that is shown should be: those of hosts of the networks,
/// and addresses for documentation (RFC 5737, RFC 3849) where any will do.
pub(super) fn like_hosts(
    space: &mut Space,
    behind: &[InterfaceNetworks],
    way: HookPath,
) -> Vec<Set> {
    let ends = [
        (Field::Source, way == HookPath::Output),
        (Field::Destination, way == HookPath::Input),
    ];
    let mut wishes = Vec::new();
    if way != HookPath::Input {
        let mut there = Vec::new();
        for it in behind {
            let places = space.interfaces.matching(&it.interface);
            let out = space.one_of(Field::Out, &places);
            let to = it.set(space, Field::Destination);
            there.push(space.diagrams.and(to, out));
        }
        wishes.push(space.diagrams.union(&there));
    }
    for (field, is_router) in ends {
        let own = own(space, behind, field);
        if is_router {
            wishes.push(own);
            continue;
        }
        wishes.push(!own);
        let (hosts, first, last, documentation) = match (space.family, field) {
            (IpFamily::V4, Field::Source) => (0xff, 0, 0xff, (0xffff_ff00, 0xc633_6400)),
            (IpFamily::V4, _) => (0xff, 0, 0xff, (0xffff_ff00, 0xcb00_7100)),
            (IpFamily::V6, Field::Source) => (0xffff, 0, 0xffff, (!0 << 80, 0x2001_0db8 << 96)),
            (IpFamily::V6, _) => {
                let network = 0x2001_0db8_0001 << 80;
                (0xffff, 0, 0xffff, (!0 << 80, network))
            }
        };
        if space.family == IpFamily::V6 {
            wishes.push(space.range(field, 0x2000 << 112, (0xfe80 << 112) - 1));
        }
        // Rather a host than its network, or all of it.
        for address in [first, last] {
            wishes.push(!space.masked(field, hosts, address));
        }
        let (mask, network) = documentation;
        wishes.push(space.masked(field, mask, network));
    }
    wishes
}
