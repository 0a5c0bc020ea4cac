//! The addresses that host names resolve to, now and earlier, and what the former
//! addresses may still be used for.
//!
//! Owns the stored form and its limits. Performs no lookups and reads no clock.

use std::collections::BTreeMap;
use std::net::IpAddr;

use thiserror::Error;

use crate::json::{
    FromJson, Json, JsonMember, JsonMembers, JsonText, ToJson, json_object, to_json,
};
use crate::name::HostName;
use crate::policy::Answers;

/// The most addresses accepted from one answer: each becomes a rule.
pub const MOST_ADDRESSES: usize = 64;

/// The most former addresses kept per name; the oldest are dropped first.
pub const MOST_FORMER: usize = 64;

/// How it is kept what a former address may still be used for.
const NEW_CONNECTIONS: &str = "new-connections";
const OPEN_CONNECTIONS: &str = "open-connections";

/// Why an answer is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The answer has no address.
    #[error("it has no address")]
    Empty,
    /// The answer has more than [`MOST_ADDRESSES`].
    #[error("it has {0} addresses, over the limit of {MOST_ADDRESSES}")]
    TooMany(usize),
}

/// The current and former addresses of each host name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedHosts(BTreeMap<HostName, ResolvedHost>);

/// The current and former addresses of one host name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedHost {
    /// The addresses in the last answer.
    pub current: Vec<IpAddr>,
    /// Addresses from earlier answers, oldest first.
    pub former: Vec<FormerAddress>,
}

/// An address that a name resolved to earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormerAddress {
    /// The address.
    pub address: IpAddr,
    /// What it may still be used for.
    pub good_for: GoodFor,
}

/// What a former address may still be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoodFor {
    /// New connections are allowed until a deadline. Times are in seconds since 1970.
    NewConnections {
        /// When an answer first lacked this address.
        since: u64,
        /// The deadline.
        until: u64,
    },
    /// Only open connections continue; new ones are not allowed.
    OpenConnections,
}

json_object!(ResolvedHost { current, former });

impl FromJson for ResolvedHost {
    fn from_json(value: Json) -> Option<ResolvedHost> {
        let mut members = JsonMembers::from_json(value)?;
        Some(ResolvedHost {
            current: members.needed("current").ok()?,
            former: members.needed("former").ok()?,
        })
    }
}

impl ToJson for FormerAddress {
    fn write_json(&self, json: &mut JsonText) {
        match &self.good_for {
            GoodFor::NewConnections { since, until } => json.object(&[
                ("address", &self.address),
                ("good-for", &NEW_CONNECTIONS),
                ("since", since),
                ("until", until),
            ]),
            GoodFor::OpenConnections => {
                json.object(&[("address", &self.address), ("good-for", &OPEN_CONNECTIONS)]);
            }
        }
    }
}

impl FromJson for FormerAddress {
    fn from_json(value: Json) -> Option<FormerAddress> {
        let mut members = JsonMembers::from_json(value)?;
        let good_for: String = members.needed("good-for").ok()?;
        Some(FormerAddress {
            address: members.needed("address").ok()?,
            good_for: match good_for.as_str() {
                NEW_CONNECTIONS => GoodFor::NewConnections {
                    since: members.needed("since").ok()?,
                    until: members.needed("until").ok()?,
                },
                OPEN_CONNECTIONS => GoodFor::OpenConnections,
                _ => return None,
            },
        })
    }
}

impl ToJson for ResolvedHosts {
    fn write_json(&self, json: &mut JsonText) {
        let members = self.0.iter();
        let members: Vec<JsonMember<'_>> = members
            .map(|(name, host)| (name.as_str(), host as &dyn ToJson))
            .collect();
        json.object(&members);
    }
}

impl ResolvedHosts {
    /// The addresses to which new connections are allowed.
    pub fn for_new_connections(&self) -> Answers {
        self.addresses(|former| matches!(former.good_for, GoodFor::NewConnections { .. }))
    }

    /// The addresses to which connections may still be open.
    pub fn for_open_connections(&self) -> Answers {
        self.addresses(|_| true)
    }

    fn addresses(&self, is_used: impl Fn(&FormerAddress) -> bool) -> Answers {
        let addresses = |host: &ResolvedHost| {
            let former = host.former.iter().filter(|former| is_used(former));
            let former = former.map(|former| former.address);
            host.current.iter().copied().chain(former).collect()
        };
        let all = self.0.iter();
        all.map(|(name, host)| (name.clone(), addresses(host)))
            .collect()
    }

    /// The addresses of a name; None if it has never resolved.
    pub fn get(&self, name: &HostName) -> Option<&ResolvedHost> {
        self.0.get(name)
    }

    /// Whether a name has addresses to which only open connections continue.
    pub fn has_ended(&self, name: &HostName) -> bool {
        let former = self.get(name).into_iter().flat_map(|host| &host.former);
        former
            .into_iter()
            .any(|former| former.good_for == GoodFor::OpenConnections)
    }

    /// Stores an answer. Addresses that are no longer in it accept new connections for
    /// `keep` seconds after `now`.
    ///
    /// # Errors
    /// Returns an error if the answer is empty or too long; the last answer then stays.
    pub fn take_answer(
        &mut self,
        name: HostName,
        addresses: Vec<IpAddr>,
        now: u64,
        keep: u64,
    ) -> Result<(), AnswerError> {
        match addresses.len() {
            0 => return Err(AnswerError::Empty),
            count if count > MOST_ADDRESSES => return Err(AnswerError::TooMany(count)),
            _ => {}
        }
        let host = self.0.entry(name).or_default();
        let before = std::mem::replace(&mut host.current, addresses);
        let good_for = GoodFor::NewConnections {
            since: now,
            until: now.saturating_add(keep),
        };
        host.former.extend(
            before
                .into_iter()
                .map(|address| FormerAddress { address, good_for }),
        );
        let current = &host.current;
        host.former
            .retain(|former| !current.contains(&former.address));
        let over = host.former.len().saturating_sub(MOST_FORMER);
        host.former.drain(..over);
        Ok(())
    }

    /// Ends the grace period of former addresses whose deadline has passed.
    pub fn expire(&mut self, now: u64) {
        let all = self.0.values_mut().flat_map(|host| &mut host.former);
        for former in all {
            if let GoodFor::NewConnections { since, until } = &mut former.good_for {
                if now < *since {
                    // The clock was set back, as at power-on of a box without a
                    // battery-backed clock: the period starts again at its original
                    // length, and is never longer.
                    *until = now.saturating_add(until.saturating_sub(*since));
                    *since = now;
                }
                if *until <= now {
                    former.good_for = GoodFor::OpenConnections;
                }
            }
        }
    }

    /// Drops former addresses that accept no new connections and to which none is open.
    pub fn forget_closed(&mut self, is_open: impl Fn(IpAddr) -> bool) {
        for host in self.0.values_mut() {
            host.former.retain(|former| {
                former.good_for != GoodFor::OpenConnections || is_open(former.address)
            });
        }
    }

    /// The name that resolves to an address, or did and may still be used for it.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<&HostName> {
        let has = |host: &ResolvedHost| {
            let former = host.former.iter().map(|former| former.address);
            host.current
                .iter()
                .copied()
                .chain(former)
                .any(|it| it == address)
        };
        self.0
            .iter()
            .find(|(_, host)| has(host))
            .map(|(name, _)| name)
    }

    /// The stored form, JSON.
    pub fn to_text(&self) -> String {
        to_json(self) + "\n"
    }

    /// Parses the output of `to_text`, or the format of version 0.1 with one `NAME
    /// ADDRESS...` per line. Skips entries that are malformed.
    pub fn from_text(text: &str) -> ResolvedHosts {
        let named = JsonMembers::parse(text).ok().and_then(|named| {
            let named = named.into_iter();
            let named = named.map(|(name, host)| Some((name, ResolvedHost::from_json(host)?)));
            named.collect::<Option<Vec<_>>>()
        });
        let named = named.unwrap_or_else(|| text.lines().filter_map(line).collect());
        let valid = named.into_iter().filter_map(|(name, host)| {
            let name = HostName::try_from(name.as_str()).ok()?;
            Some((name, host))
        });
        ResolvedHosts(valid.collect())
    }
}

fn line(line: &str) -> Option<(String, ResolvedHost)> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?.to_owned();
    let current = words.map(str::parse).collect::<Result<Vec<IpAddr>, _>>();
    let host = ResolvedHost {
        current: current.ok()?,
        former: Vec::new(),
    };
    Some((name, host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    const HOUR: u64 = 3600;

    fn name() -> Result<HostName, Box<dyn Error>> {
        Ok(HostName::try_from("mail.example.org")?)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn answered(answers: &[(u64, &[u8])]) -> Result<ResolvedHosts, Box<dyn Error>> {
        let mut hosts = ResolvedHosts::default();
        for (now, last) in answers {
            let addresses = last.iter().map(|last| address(*last)).collect();
            hosts.take_answer(name()?, addresses, *now, HOUR)?;
        }
        Ok(hosts)
    }

    fn new(hosts: &ResolvedHosts) -> Vec<IpAddr> {
        hosts
            .for_new_connections()
            .into_values()
            .flatten()
            .collect()
    }

    fn open(hosts: &ResolvedHosts) -> Vec<IpAddr> {
        hosts
            .for_open_connections()
            .into_values()
            .flatten()
            .collect()
    }

    #[test]
    fn a_former_address_is_good_for_a_time_and_open_connections_go_on() -> Result<(), Box<dyn Error>>
    {
        let mut hosts = answered(&[(1000, &[1]), (2000, &[2])])?;
        hosts.expire(2000 + HOUR - 1);
        assert_eq!(new(&hosts), [address(2), address(1)]);
        assert!(!hosts.has_ended(&name()?));
        hosts.expire(2000 + HOUR);
        assert_eq!(new(&hosts), [address(2)]);
        assert_eq!(open(&hosts), [address(2), address(1)]);
        assert!(hosts.has_ended(&name()?));
        hosts.forget_closed(|open| open == address(1));
        assert_eq!(open(&hosts), [address(2), address(1)]);
        hosts.forget_closed(|_| false);
        assert_eq!(open(&hosts), [address(2)]);
        Ok(())
    }

    #[test]
    fn an_address_that_comes_back_is_current() -> Result<(), Box<dyn Error>> {
        let mut hosts = answered(&[(0, &[1]), (10, &[2]), (20, &[1])])?;
        hosts.expire(20);
        assert_eq!(new(&hosts), [address(1), address(2)]);
        hosts.expire(20 + HOUR);
        assert_eq!(new(&hosts), [address(1)]);
        Ok(())
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_time_longer() -> Result<(), Box<dyn Error>> {
        let mut hosts = answered(&[(1_800_000_000, &[1]), (1_800_000_000, &[2])])?;
        // Switched on in 1970, and then told the date.
        hosts.expire(5);
        assert_eq!(new(&hosts), [address(2), address(1)]);
        hosts.expire(5 + HOUR);
        assert_eq!(new(&hosts), [address(2)]);
        Ok(())
    }

    #[test]
    fn there_is_a_bound() -> Result<(), Box<dyn Error>> {
        let mut hosts = ResolvedHosts::default();
        for now in 0..1000_u64 {
            let host = u32::try_from(now)?;
            let addresses = vec![IpAddr::from(host.to_be_bytes())];
            hosts.take_answer(name()?, addresses, now, HOUR)?;
        }
        assert_eq!(new(&hosts).len(), 1 + MOST_FORMER);
        assert!(new(&hosts).contains(&IpAddr::from(998_u32.to_be_bytes())));
        let many = vec![address(1); MOST_ADDRESSES + 1];
        let before = hosts.clone();
        let refused = hosts.take_answer(name()?, many, 1000, HOUR);
        assert_eq!(refused, Err(AnswerError::TooMany(MOST_ADDRESSES + 1)));
        assert_eq!(
            hosts.take_answer(name()?, Vec::new(), 1000, HOUR),
            Err(AnswerError::Empty)
        );
        assert_eq!(hosts, before);
        Ok(())
    }

    #[test]
    fn what_is_kept_comes_back() -> Result<(), Box<dyn Error>> {
        let mut hosts = answered(&[(0, &[1]), (10, &[2]), (HOUR, &[3, 4])])?;
        hosts.expire(HOUR + 10);
        assert_eq!(ResolvedHosts::from_text(&hosts.to_text()), hosts);
        let kept = "{\"mail.example.org\":{\"current\":[\"192.0.2.3\",\"192.0.2.4\"],\"former\":[\
                    {\"address\":\"192.0.2.1\",\"good-for\":\"open-connections\"},\
                    {\"address\":\"192.0.2.2\",\"good-for\":\"new-connections\",\
                    \"since\":3600,\"until\":7200}]}}\n";
        assert_eq!(hosts.to_text(), kept);
        // Of an earlier version, and of somebody who wrote nonsense into it.
        let text = "mail.example.org 192.0.2.1 192.0.2.2\nx y\n- 192.0.2.3\n";
        let old = ResolvedHosts::from_text(text);
        assert_eq!(new(&old), [address(1), address(2)]);
        assert_eq!(
            ResolvedHosts::from_text("{\"a b\":[]}\n"),
            ResolvedHosts::default()
        );
        Ok(())
    }
}
