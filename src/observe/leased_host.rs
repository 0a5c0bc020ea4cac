//! Leases that dnsmasq gave, as its file of leases has them: a line each of expiry,
//! hardware address, address, host name and client id (dnsmasq's src/lease.c).
//!
//! Owns what is taken of a name that a host gives itself: nothing that could begin a line,
//! a tag, a quote or a terminal code.

use std::net::IpAddr;

use super::refusals_text::hardware_address;
use crate::name::MacAddress;

/// The most of a name that is kept, in characters.
const LONGEST: usize = 32;

/// The most leases that are kept.
const MOST: usize = 4_096;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeasedHost {
    /// When it ends, in seconds since 1970; 0 is never.
    pub(crate) until: u64,
    /// The host's hardware address.
    pub(crate) mac: MacAddress,
    /// Its address.
    pub(crate) address: IpAddr,
    /// What it calls itself, as far as that is harmless; None if it does not.
    pub(crate) name: Option<String>,
}

/// Reads the leases that have not ended. Malformed lines are ignored.
pub(crate) fn leases(text: &str, now: u64) -> Vec<LeasedHost> {
    let leases = text.lines().filter_map(lease);
    let held = leases.filter(|lease| lease.until == 0 || lease.until > now);
    held.take(MOST).collect()
}

fn lease(line: &str) -> Option<LeasedHost> {
    let mut words = line.split(' ');
    let until = words.next()?.parse().ok()?;
    // Hardware that is not Ethernet has its type before it.
    let mac = hardware_address(words.next()?)?;
    let address = words.next()?.parse().ok()?;
    Some(LeasedHost {
        until,
        mac,
        address,
        name: harmless(words.next()?),
    })
}

/// The characters of host names; any other is a `?`. dnsmasq writes `*` for none.
fn harmless(name: &str) -> Option<String> {
    let kept = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' => c,
        _ => '?',
    };
    let is_given = !name.is_empty() && name != "*";
    is_given.then(|| name.chars().take(LONGEST).map(kept).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_read_and_names_are_harmless() {
        let text = "1700 02:00:00:00:00:01 192.168.8.150 ip-cam.1 01:02\n\
                    0 02:00:00:00:00:02 192.168.8.151 * *\n\
                    900 02:00:00:00:00:03 192.168.8.152 over *\n\
                    1700 02:00:00:00:00:04 192.168.8.153 \u{1b}[2J\"}<b> *\n\
                    duid 00:01\n1700 06-02:00:00:00:00:05 x y z\n";
        let found = leases(text, 1000);
        let names: Vec<_> = found.iter().map(|it| it.name.as_deref()).collect();
        assert_eq!(names, [Some("ip-cam.1"), None, Some("??2J???b?")]);
        let long = format!("0 02:00:00:00:00:02 192.168.8.151 {} *", "é".repeat(99));
        assert_eq!(leases(&long, 0)[0].name, Some("?".repeat(LONGEST)));
    }
}
