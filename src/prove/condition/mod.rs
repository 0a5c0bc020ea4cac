//! The condition of one rule: which packets it matches.
//!
//! Owns the meaning of every match, once: a single packet is tested against it, and the set
//! of matching packets is built from it. What depends on more than the packet, or is
//! unknown to camfw, is left in doubt. The source of each meaning is the kernel's match
//! function (net/netfilter/xt_*.c, ip_tables.c).

mod clause;
mod mac_bits;

use ipnet::IpNet;

use crate::family::IpFamily;
use crate::field::{IcmpType, PortRange};
use crate::netfilter::{
    AddressRanges, Connection, CtStates, Interface, MacBits, Match, Multiport, Negatable, PortSide,
    Protocol, Rule, TableName,
};
use crate::prove::bounds::Bounds;
use crate::prove::foreign;
use crate::prove::given::KnownBits;
use crate::prove::packet::{Field, HELPER_OTHERS, NO_INTERFACE, Packet, State, helper_code};
use crate::prove::space::Space;
use camfw_diagrams::Set;
use clause::all_of;
pub use clause::{Clause, Test};

/// The condition of a rule: a conjunction of clauses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// The clauses, which must all hold.
    pub clauses: Vec<Clause>,
    /// Conditions that cannot be decided from the packet, as the rule writes them.
    pub doubts: Vec<String>,
    /// Whether it reads the transport header, which later fragments lack: there the legacy
    /// backend matches nothing (tcp_mt, multiport_mt, icmp_match), and the nft one, in its
    /// fast path, takes the payload for a header (nft_payload_fast_eval in
    /// net/netfilter/nf_tables_core.c).
    header: bool,
    /// Whether it has a negated match on a hardware address.
    hardware: bool,
    /// The bits of the hardware address that it looks at.
    mac_bits: Option<MacBits>,
    /// Whether conntrack reassembles fragments before any rule sees them.
    tracks: bool,
}

impl Condition {
    /// The condition of a rule in this table; `tracks` says whether the ruleset uses
    /// conntrack.
    pub fn of(rule: &Rule, table: TableName, space: &Space, tracks: bool) -> Condition {
        let mut condition = Condition {
            tracks,
            ..Condition::default()
        };
        condition.network(Field::Source, rule.source);
        condition.network(Field::Destination, rule.destination);
        condition.interface(Field::In, rule.in_interface.as_deref(), space);
        condition.interface(Field::Out, rule.out_interface.as_deref(), space);
        if let Some(Negatable { negated, value }) = rule.protocol {
            condition.number(Field::Protocol, negated, value.number().into());
        }
        for extension in &rule.matches {
            condition.extension(extension, table, space.family);
        }
        condition.clauses.shrink_to_fit();
        condition
    }

    /// Whether a packet satisfies the condition; None if the packet alone does not decide
    /// it.
    pub fn holds(&self, packet: &Packet) -> Option<bool> {
        let mut holds = Some(self.doubts.is_empty()).filter(|certain| *certain);
        let fragment = self.header && packet.get(Field::Fragment) == Some(1);
        if fragment || self.hardware && packet.get(Field::Mac) == Some(0) {
            holds = None;
        }
        match self.mac_bits.map(|bits| mac_bits::hold(bits, packet)) {
            Some(Some(false)) => return Some(false),
            Some(None) => holds = None,
            Some(Some(true)) | None => {}
        }
        for clause in &self.clauses {
            if fragment && clause.is_in_header() {
                continue;
            }
            let mut any = Some(false);
            for test in clause.tests() {
                match test.holds(packet) {
                    Some(true) => {
                        any = Some(true);
                        break;
                    }
                    Some(false) => {}
                    None => any = None,
                }
            }
            match any {
                Some(any) if any == clause.negated => return Some(false),
                Some(_) => {}
                None => holds = None,
            }
        }
        holds
    }

    /// What of it some packets do not have, so that both outcomes are considered for these.
    pub fn absent(&self) -> Vec<String> {
        let parts = [
            (
                self.header,
                "ports, flags and types, in fragments after the first, which no conntrack puts together",
            ),
            (
                self.hardware,
                "-m mac ! --mac-source, of what came in by a tunnel, which has no hardware address",
            ),
            (
                self.mac_bits.is_some(),
                "-m bpf, of hardware addresses that no rule names, and of a tunnel, which has none",
            ),
        ];
        let parts = parts.into_iter().filter(|(is, _)| *is);
        parts.map(|(_, what)| what.to_owned()).collect()
    }

    /// Whether the condition tests this field.
    pub fn asks_for(&self, field: Field) -> bool {
        let bits = field == Field::Mac && self.mac_bits.is_some();
        bits || self.clauses.iter().any(|clause| clause.asks_for(field))
    }

    /// Whether it looks at bits of the hardware address.
    pub fn looks_at_mac_bits(&self) -> bool {
        self.mac_bits.is_some()
    }

    /// The hardware addresses that it names.
    pub fn hardware_addresses(&self) -> impl Iterator<Item = u128> {
        let tests = self.clauses.iter().flat_map(Clause::tests);
        tests.filter_map(|test| match test {
            Test::Range(Field::Mac, address, _) => Some(address),
            _ => None,
        })
    }

    /// The address tests that must hold.
    pub fn addresses(&self) -> impl Iterator<Item = Test> {
        let plain = self.clauses.iter().filter(|clause| !clause.negated);
        plain.filter_map(|clause| match clause.only_test() {
            Some(test @ Test::Range(Field::Source | Field::Destination, ..)) => Some(test),
            _ => None,
        })
    }

    /// The packets that satisfy this condition, among those consistent with `given`.
    pub fn set(&self, space: &mut Space, given: &KnownBits) -> Bounds {
        let all = all_of(space, given, Set::FULL, self.clauses.iter().collect());
        let mut set = Bounds::exactly(all);
        if self.header {
            let others = self.clauses.iter().filter(|it| !it.is_in_header());
            let others = all_of(space, given, Set::FULL, others.collect());
            let later = space.equal(Field::Fragment, 1);
            let later = space.diagrams.and(later, others);
            set.may = space.diagrams.or(all, later);
            set.must = space.diagrams.minus(all, later);
        }
        if self.hardware {
            let unknown = space.equal(Field::Mac, 0);
            set.must = space.diagrams.minus(set.must, unknown);
        }
        if let Some(bits) = self.mac_bits {
            let has = mac_bits::set(space, bits);
            set = space.and(set, has);
        }
        if !self.doubts.is_empty() {
            set.must = Bounds::NONE.must;
        }
        set
    }

    fn add(&mut self, negated: bool, any: Vec<Test>) {
        self.clauses.push(Clause::new(negated, any));
    }

    fn doubt(&mut self, why: String) {
        self.doubts.push(why);
    }

    /// Makes the condition one that no packet satisfies.
    fn never(&mut self) {
        self.add(false, Vec::new());
    }

    fn number(&mut self, field: Field, negated: bool, value: u128) {
        self.add(negated, vec![Test::Range(field, value, value)]);
    }

    fn network(&mut self, field: Field, network: Option<Negatable<IpNet>>) {
        if let Some(Negatable { negated, value }) = network {
            let (first, last) = network_range(value);
            if !negated && value.prefix_len() == 0 {
                return;
            }
            self.add(negated, vec![Test::Range(field, first, last)]);
        }
    }

    fn interface(&mut self, field: Field, interface: Option<&Negatable<Interface>>, space: &Space) {
        let Some(Negatable { negated, value }) = interface else {
            return;
        };
        let pattern = pattern(value);
        let places = space.interfaces.matching(&pattern);
        let tests = places
            .into_iter()
            .map(|place| Test::Range(field, place, place));
        self.add(*negated, tests.collect());
    }

    fn ports(&mut self, field: Field, ports: Option<Negatable<PortRange>>) {
        if let Some(Negatable { negated, value }) = ports {
            self.add(negated, vec![port_test(field, value)]);
        }
    }

    fn looks_at_header(&mut self) {
        self.header = !self.tracks;
    }

    fn icmp(&mut self, protocol: Protocol, negated: bool, icmp: IcmpType) {
        self.looks_at_header();
        self.number(Field::Protocol, false, protocol.number().into());
        let kind = u128::from(icmp.number());
        // Type 255 means "any" in IPv4 (icmp_type_code_match), but not in IPv6
        // (icmp6_type_code_match).
        if icmp.number() == 255 && protocol == Protocol::Icmp {
            if negated {
                self.never();
            }
            return;
        }
        match (icmp.code(), negated) {
            (None, _) => self.number(Field::IcmpType, negated, kind),
            (Some(code), false) => {
                self.number(Field::IcmpType, false, kind);
                self.number(Field::IcmpCode, false, code.into());
            }
            (Some(code), true) => {
                // Negated: another type, or the same type with another code.
                let mut others = Vec::new();
                for (field, value) in [(Field::IcmpType, kind), (Field::IcmpCode, code.into())] {
                    if value > 0 {
                        others.push(Test::Range(field, 0, value - 1));
                    }
                    if value < 255 {
                        others.push(Test::Range(field, value + 1, 255));
                    }
                }
                self.add(false, others);
            }
        }
    }

    fn states(&mut self, negated: bool, states: CtStates, table: TableName) {
        if table == TableName::Raw {
            // Before conntrack no packet has a connection: its state is INVALID, or
            // UNTRACKED if a rule has just exempted it from tracking (conntrack_mt in
            // xt_conntrack.c). Loopback packets are the exception, since they come from the
            // router, where they were tracked on output.
            let (kept, last) = (State::Untracked as u128, State::Established as u128);
            let mut any = Vec::new();
            if states.contains(CtStates::UNTRACKED) {
                any.push(Test::Range(Field::State, kept, kept));
            }
            if states.contains(CtStates::INVALID) {
                any.push(Test::Range(Field::State, 0, last));
            }
            self.add(negated, any);
            return;
        }
        let named = State::ALL
            .iter()
            .filter(|(_, bit, _)| states.contains(*bit));
        let mut any: Vec<Test> = named
            .map(|(state, ..)| Test::Range(Field::State, *state as u128, *state as u128))
            .collect();
        for (bit, field) in [(CtStates::DNAT, Field::Dnat), (CtStates::SNAT, Field::Snat)] {
            if states.contains(bit) {
                any.push(Test::Range(field, 1, 1));
            }
        }
        self.add(negated, any);
    }

    /// The match on a packet's connection, exact for packets that are RELATED to one: ICMP
    /// errors and connections that a helper expected. For other packets it is in doubt,
    /// since it follows from the packet's own addresses and from how NAT changed them.
    fn connection(&mut self, connection: &Connection, extension: &Match, table: TableName) {
        self.states(false, connection.states, table);
        if connection.states != CtStates::RELATED {
            self.doubt(crate::netfilter::match_text(extension));
            return;
        }
        if let Some((which, network)) = connection.end {
            let (first, last) = network_range(network);
            self.add(
                false,
                vec![Test::Range(Field::of_tuple(which), first, last)],
            );
        }
        if connection.expected {
            self.number(Field::CtExpected, false, 1);
        }
        if let Some(direction) = connection.direction {
            self.number(Field::CtDirection, false, direction as u128);
        }
    }

    /// The match on the helper that expected this connection (xt_helper.c); for a helper
    /// without a code of its own it is in doubt.
    fn expected_by(&mut self, helper: &str, extension: &Match) {
        let part = [State::Related, State::Established];
        let part = part.map(|state| Test::Range(Field::State, state as u128, state as u128));
        self.add(false, part.to_vec());
        match helper_code(helper) {
            HELPER_OTHERS => {
                self.add(false, vec![Test::Range(Field::CtHelper, 1, 3)]);
                self.doubt(crate::netfilter::match_text(extension));
            }
            code => self.number(Field::CtHelper, false, code),
        }
    }

    fn extension(&mut self, extension: &Match, table: TableName, family: IpFamily) {
        match extension {
            Match::Tcp {
                sport,
                dport,
                flags,
            } => {
                self.looks_at_header();
                self.ports(Field::SourcePort, *sport);
                self.ports(Field::DestinationPort, *dport);
                if let Some(Negatable { negated, value }) = flags {
                    let (mask, set) = (u128::from(value.mask), u128::from(value.set));
                    // A flag that must be set but is outside the mask can never match.
                    match set & !mask {
                        0 => self.add(*negated, vec![Test::Masked(Field::Flags, mask, set)]),
                        _ => self.add(*negated, Vec::new()),
                    }
                }
            }
            Match::Udp { sport, dport } => {
                self.looks_at_header();
                self.ports(Field::SourcePort, *sport);
                self.ports(Field::DestinationPort, *dport);
            }
            Match::Multiport(Negatable { negated, value }) => {
                self.looks_at_header();
                self.multiport(*negated, value);
            }
            Match::Icmp(Negatable { negated, value }) => {
                self.icmp(Protocol::Icmp, *negated, *value);
            }
            Match::Icmpv6(Negatable { negated, value }) => {
                self.icmp(Protocol::Icmpv6, *negated, *value);
            }
            Match::Conntrack(Negatable { negated, value }) => {
                self.states(*negated, *value, table);
            }
            Match::Connection(connection) => self.connection(connection, extension, table),
            Match::ExpectedBy(helper) => self.expected_by(helper.as_str(), extension),
            Match::Addresses(ranges) => {
                let AddressRanges {
                    source,
                    destination,
                } = **ranges;
                for (field, range) in [(Field::Source, source), (Field::Destination, destination)] {
                    if let Some(Negatable { negated, value }) = range {
                        let (first, last) = (address(value.0), address(value.1));
                        self.add(negated, vec![Test::Range(field, first, last)]);
                    }
                }
            }
            Match::Fragment(Negatable { negated, .. }) => {
                self.number(Field::Fragment, *negated, 1);
            }
            Match::Mac(Negatable { negated, value }) => {
                // A packet that did not arrive over Ethernet satisfies neither the match
                // nor its negation (mac_mt in xt_mac.c).
                self.add(
                    true,
                    vec![Test::Range(
                        Field::In,
                        NO_INTERFACE,
                        super::packet::Interfaces::LOOPBACK,
                    )],
                );
                self.number(Field::Mac, *negated, value.number());
                // The rules do not say which interfaces are tunnels, so packets without a
                // known hardware address are in doubt.
                self.hardware |= *negated;
            }
            Match::MacBits(bits) if self.mac_bits.is_none() => self.mac_bits = Some(*bits),
            Match::MacBits(_) => self.doubt(crate::netfilter::match_text(extension)),
            Match::Mark(Negatable { negated, value }) => {
                let (mask, value) = (u128::from(value.mask), u128::from(value.value));
                match value & !mask {
                    0 => self.add(*negated, vec![Test::Masked(Field::Mark, mask, value)]),
                    _ => self.add(*negated, Vec::new()),
                }
            }
            Match::Comment(_) => {}
            Match::Recent {
                check: crate::netfilter::RecentCheck::Set(_),
                ..
            } => {}
            Match::OwnAddress => self.number(Field::Local, false, 1),
            Match::AnyOwnAddress => self.any_own_address(extension, table, family),
            Match::HopLimit(hops) => self.number(Field::Hops, false, (*hops).into()),
            Match::InTable
            | Match::ExpiresWithin(_)
            | Match::Limit(_)
            | Match::HashlimitPerSource { .. }
            | Match::Recent { .. }
            | Match::OpenConnections { .. }
            | Match::Time(_) => self.doubt(crate::netfilter::match_text(extension)),
            Match::Other(words) => self.foreign(words, family),
        }
    }

    /// Exact in raw and nat, whose rules see the destination as the packet came or at the end
    /// decide nothing but the source; elsewhere DNAT may have come before.
    fn any_own_address(&mut self, extension: &Match, table: TableName, family: IpFamily) {
        match table {
            TableName::Raw | TableName::Nat => self.number(Field::AnyLocal, false, 1),
            _ => {
                let text = crate::netfilter::match_text(extension);
                let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
                self.foreign(&words, family);
            }
        }
    }

    fn foreign(&mut self, words: &[String], family: IpFamily) {
        let meaning = foreign::meaning(words, family).unwrap_or_default();
        if meaning.header {
            self.looks_at_header();
        }
        self.clauses.extend(meaning.clauses);
        if !meaning.certain {
            self.doubt(words.join(" "));
        }
    }

    fn multiport(&mut self, negated: bool, multiport: &Multiport) {
        let fields: &[Field] = match multiport.side {
            PortSide::Source => &[Field::SourcePort],
            PortSide::Destination => &[Field::DestinationPort],
            PortSide::Either => &[Field::SourcePort, Field::DestinationPort],
        };
        let tests = fields.iter().flat_map(|field| {
            let ports = multiport.ports.iter();
            ports.map(|range| port_test(*field, *range))
        });
        self.add(negated, tests.collect());
    }
}

fn port_test(field: Field, ports: PortRange) -> Test {
    Test::Range(field, ports.first().into(), ports.last().into())
}

/// An interface as a rule writes it.
pub fn pattern(interface: &Interface) -> String {
    match interface {
        Interface::Loopback => "lo".to_owned(),
        Interface::Named(name) => name.to_string(),
        Interface::Wildcard(start) => format!("{start}+"),
    }
}

/// An address as a number.
pub fn address(address: std::net::IpAddr) -> u128 {
    match address {
        std::net::IpAddr::V4(v4) => u32::from(v4).into(),
        std::net::IpAddr::V6(v6) => v6.into(),
    }
}

/// The first and the last address of a network, as numbers.
pub fn network_range(network: IpNet) -> (u128, u128) {
    (address(network.network()), address(network.broadcast()))
}
