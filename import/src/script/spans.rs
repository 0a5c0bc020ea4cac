//! Sets of numbers as ranges: addresses, ports, protocols; and the sets of packets that they make.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The number of the last port.
const LAST_PORT: u32 = u16::MAX as u32;

/// A set of numbers: ranges in order, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spans(Vec<(u32, u32)>);

impl Spans {
    pub fn all() -> Self {
        Self::one(0, u32::MAX)
    }

    pub fn ports() -> Self {
        Self::one(0, LAST_PORT)
    }

    pub fn one(first: u32, last: u32) -> Self {
        Self(vec![(first, last)])
    }

    pub fn network(network: Ipv4Net) -> Self {
        Self::one(network.network().into(), network.broadcast().into())
    }

    pub fn host(address: Ipv4Addr) -> Self {
        Self::one(address.into(), address.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().copied()
    }

    /// The number, if there is only one.
    pub fn single(&self) -> Option<u32> {
        match self.0[..] {
            [(first, last)] if first == last => Some(first),
            _ => None,
        }
    }

    pub fn or(&self, other: &Self) -> Self {
        let mut all: Vec<_> = self.iter().chain(other.iter()).collect();
        all.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (first, last) in all {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    pub fn and(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(one), Some(two)) = (mine.peek(), theirs.peek()) {
            let (first, last) = (one.0.max(two.0), one.1.min(two.1));
            if first <= last {
                both.push((first, last));
            }
            match one.1 < two.1 {
                true => mine.next(),
                false => theirs.next(),
            };
        }
        Self(both)
    }

    pub fn not(&self) -> Self {
        let mut rest = Vec::new();
        let mut next = Some(0);
        for (first, last) in self.iter() {
            if let Some(from) = next.filter(|from| *from < first) {
                rest.push((from, first - 1));
            }
            next = last.checked_add(1);
        }
        if let Some(from) = next {
            rest.push((from, u32::MAX));
        }
        Self(rest)
    }

    pub fn minus(&self, other: &Self) -> Self {
        self.and(&other.not())
    }

    pub fn covers(&self, other: &Self) -> bool {
        other.minus(self).is_empty()
    }
}

/// Protocols, and the ports or types of those that have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceSpans {
    pub tcp: Spans,
    pub udp: Spans,
    pub icmp: Spans,
    /// Numbers of the other protocols.
    pub other: Spans,
}

impl ServiceSpans {
    pub fn all() -> Self {
        Self::protocols(&Spans::one(0, 255))
    }

    /// All of these protocols.
    pub fn protocols(numbers: &Spans) -> Self {
        let has = |number| !numbers.and(&Spans::one(number, number)).is_empty();
        let whole = |number, last| match has(number) {
            true => Spans::one(0, last),
            false => Spans::default(),
        };
        let known = [1, 6, 17].map(|number| Spans::one(number, number));
        let numbers = numbers.and(&Spans::one(0, 255));
        Self {
            tcp: whole(6, LAST_PORT),
            udp: whole(17, LAST_PORT),
            icmp: whole(1, 255),
            other: known.iter().fold(numbers, |rest, known| rest.minus(known)),
        }
    }

    fn with(&self, other: &Self, each: impl Fn(&Spans, &Spans) -> Spans) -> Self {
        Self {
            tcp: each(&self.tcp, &other.tcp),
            udp: each(&self.udp, &other.udp),
            icmp: each(&self.icmp, &other.icmp),
            other: each(&self.other, &other.other),
        }
    }

    pub fn and(&self, other: &Self) -> Self {
        self.with(other, Spans::and)
    }

    pub fn minus(&self, other: &Self) -> Self {
        self.with(other, Spans::minus)
    }

    pub fn is_empty(&self) -> bool {
        [&self.tcp, &self.udp, &self.icmp, &self.other]
            .iter()
            .all(|spans| spans.is_empty())
    }
}

/// Packets: every combination of what stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketBox {
    pub sources: Spans,
    pub destinations: Spans,
    pub service: ServiceSpans,
    /// Only what `service` has of TCP and UDP has ports that it comes from.
    pub source_ports: Spans,
}

impl PacketBox {
    pub fn all() -> Self {
        Self {
            sources: Spans::all(),
            destinations: Spans::all(),
            service: ServiceSpans::all(),
            source_ports: Spans::ports(),
        }
    }

    fn is_empty(&self) -> bool {
        self.sources.is_empty()
            || self.destinations.is_empty()
            || self.service.is_empty()
            || self.source_ports.is_empty()
    }

    fn some(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }

    pub fn and(&self, other: &Self) -> Option<Self> {
        Self {
            sources: self.sources.and(&other.sources),
            destinations: self.destinations.and(&other.destinations),
            service: self.service.and(&other.service),
            source_ports: self.source_ports.and(&other.source_ports),
        }
        .some()
    }

    /// What is in this one alone, as boxes that share nothing.
    pub fn minus(&self, other: &Self) -> Vec<Self> {
        let Some(both) = self.and(other) else {
            return vec![self.clone()];
        };
        let sources = Self {
            sources: self.sources.minus(&other.sources),
            ..self.clone()
        };
        let destinations = Self {
            sources: both.sources.clone(),
            destinations: self.destinations.minus(&other.destinations),
            ..self.clone()
        };
        let service = Self {
            service: self.service.minus(&other.service),
            source_ports: self.source_ports.clone(),
            ..both.clone()
        };
        let source_ports = Self {
            source_ports: self.source_ports.minus(&other.source_ports),
            ..both
        };
        [sources, destinations, service, source_ports]
            .into_iter()
            .filter_map(Self::some)
            .collect()
    }

    /// What is in none of `others`; `None` if it is more boxes than anybody would read.
    pub fn without<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Option<Vec<Self>> {
        const MOST: usize = 64;
        let mut left = vec![self.clone()];
        for other in others {
            left = left.iter().flat_map(|it| it.minus(other)).collect();
            if left.len() > MOST {
                return None;
            }
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sets() {
        let set = Spans::one(10, 20)
            .or(&Spans::one(21, 30))
            .or(&Spans::one(40, 50));
        assert_eq!(set, Spans(vec![(10, 30), (40, 50)]));
        assert_eq!(set.not().not(), set);
        assert_eq!(
            set.minus(&Spans::one(15, 44)),
            Spans(vec![(10, 14), (45, 50)])
        );
        assert_eq!(Spans::all().not(), Spans::default());
        assert!(set.covers(&Spans::one(22, 30)) && !set.covers(&Spans::one(22, 31)));
    }

    #[test]
    fn what_is_left_of_a_box_shares_nothing_with_what_went() {
        let tcp = ServiceSpans::protocols(&Spans::one(6, 6));
        let port = ServiceSpans {
            tcp: Spans::one(25, 25),
            ..ServiceSpans::default()
        };
        let all = PacketBox {
            service: tcp,
            ..PacketBox::all()
        };
        let went = PacketBox {
            sources: Spans::one(5, 9),
            service: port,
            source_ports: Spans::one(0, 1023),
            ..PacketBox::all()
        };
        let left = all.minus(&went);
        assert_eq!(left.len(), 3);
        assert!(left.iter().all(|it| it.and(&went).is_none()));
        assert_eq!(went.without(&left), Some(vec![went.clone()]));
        assert_eq!(all.without([&all]), Some(Vec::new()));
    }
}
