//! What names of hosts resolved to, now and before, and what the former addresses
//! are still good for.
//!
//! Owns the form in which it is kept, and its bounds. Asks nobody, and has no clock.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::HostName;
use crate::policy::Answers;

/// The most addresses of one answer that are taken: each is a rule.
pub const MOST_ADDRESSES: usize = 64;

/// The most former addresses of a name; the oldest go first.
pub const MOST_FORMER: usize = 64;

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Nothing in it.
    #[error("it has no address")]
    Empty,
    /// Too much in it.
    #[error("it has {0} addresses, over the limit of {MOST_ADDRESSES}")]
    TooMany(usize),
}

/// The addresses of each name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedHosts(BTreeMap<HostName, ResolvedHost>);

/// The addresses of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedHost {
    /// Those of the last answer.
    pub current: Vec<IpAddr>,
    /// Those of earlier answers, the oldest first.
    pub former: Vec<FormerAddress>,
}

/// An address that a name had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerAddress {
    /// Which.
    pub address: IpAddr,
    /// What it is good for.
    #[serde(flatten)]
    pub good_for: GoodFor,
}

/// What a former address is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "good-for", rename_all = "kebab-case")]
pub enum GoodFor {
    /// Connections may be opened to it for a time, in seconds from 1970.
    NewConnections {
        /// When an answer first came without it.
        since: u64,
        /// Until when.
        until: u64,
    },
    /// Those that are open go on.
    OpenConnections,
}

impl ResolvedHosts {
    /// Where connections may be opened to.
    pub fn for_new_connections(&self) -> Answers {
        self.addresses(|former| matches!(former.good_for, GoodFor::NewConnections { .. }))
    }

    /// Where connections may have been opened to.
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

    /// The addresses of a name; None if it never resolved.
    pub fn get(&self, name: &HostName) -> Option<&ResolvedHost> {
        self.0.get(name)
    }

    /// Whether a name has addresses to which open connections alone go on.
    pub fn has_ended(&self, name: &HostName) -> bool {
        let former = self.get(name).into_iter().flat_map(|host| &host.former);
        former
            .into_iter()
            .any(|former| former.good_for == GoodFor::OpenConnections)
    }

    /// Takes an answer. Addresses that are no longer in it may be connected to for
    /// `keep` seconds from now.
    ///
    /// # Errors
    /// There is nothing in it, or too much; the last answer stays.
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

    /// Ends the time of those former addresses whose time is over.
    pub fn expire(&mut self, now: u64) {
        let all = self.0.values_mut().flat_map(|host| &mut host.former);
        for former in all {
            if let GoodFor::NewConnections { since, until } = &mut former.good_for {
                if now < *since {
                    // The clock was set back, as where a box without one is switched
                    // on: the time begins again, and is no longer than it was.
                    *until = now.saturating_add(until.saturating_sub(*since));
                    *since = now;
                }
                if *until <= now {
                    former.good_for = GoodFor::OpenConnections;
                }
            }
        }
    }

    /// Forgets addresses to which open connections alone go on, where there are none.
    pub fn forget_closed(&mut self, is_open: impl Fn(IpAddr) -> bool) {
        for host in self.0.values_mut() {
            host.former.retain(|former| {
                former.good_for != GoodFor::OpenConnections || is_open(former.address)
            });
        }
    }

    /// As it is kept.
    pub fn to_text(&self) -> String {
        let named: BTreeMap<&str, &ResolvedHost> = self
            .0
            .iter()
            .map(|(name, host)| (name.as_str(), host))
            .collect();
        // Strings, numbers and lists of them: it does not fail.
        serde_json::to_string(&named).unwrap_or_default() + "\n"
    }

    /// From what `to_text` made, or version 0.1, which kept `NAME ADDRESS...` in each
    /// line; what is neither is left out.
    pub fn from_text(text: &str) -> ResolvedHosts {
        let named: BTreeMap<String, ResolvedHost> = match serde_json::from_str(text) {
            Ok(named) => named,
            Err(_) => text.lines().filter_map(line).collect(),
        };
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
