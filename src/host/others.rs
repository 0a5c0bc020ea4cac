//! Rules that see the same packets but that the image's iptables does not show: those
//! in nftables' own tables, those that nft put into the tables of iptables, and those of the
//! other iptables variant.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, io};

use netlink_packet_core::NlasIterator;
use nix::libc;

use super::iptables::listed;
use super::nf_tables::{CHAIN_HOOK, CHAIN_TABLE, GET_CHAIN, GET_RULE, NFTABLES, RULE_TABLE};
use super::nfnetlink::{Message, Netfilter, Request, attribute};
use super::process;
use crate::family::IpFamily;
use crate::netfilter::{ChainPolicy, TableName, parse};

/// A table that our iptables does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherTable {
    /// What created it: `nftables` or `iptables-legacy`.
    pub of: &'static str,
    /// Its family, one of ip, ip6, inet, arp, bridge or netdev, and its name.
    pub name: String,
    /// The chains that are hooked, with DROP if that is their policy.
    pub chains: Vec<String>,
    /// The number of rules in it.
    pub rules: usize,
    /// Whether it is a table of iptables, and the rules are nft's in chains that iptables shows.
    pub is_shared: bool,
}

/// Attributes of its messages (linux/netfilter/nf_tables.h).
const CHAIN_NAME: u16 = 3;
const CHAIN_POLICY: u16 = 5;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const PAYLOAD_SOURCE_REGISTER: u16 = 5;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OtherTables {
    /// The tables that act on packets.
    pub tables: Vec<OtherTable>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// The tables that see packets in addition to those of `iptables`, a path, and that act
/// on them. Without nftables in the kernel, or iptables-legacy-save in the image, the
/// respective tables are not found.
pub fn find(iptables: &str) -> OtherTables {
    let ours_is_nft = is_nft(iptables);
    let mut unread = Vec::new();
    let mut found = nftables(ours_is_nft).unwrap_or_else(|error| {
        unread.push(format!("nftables: {error}"));
        Vec::new()
    });
    if ours_is_nft {
        for (family, name, program) in [
            (IpFamily::V4, "ip", "iptables-legacy-save"),
            (IpFamily::V6, "ip6", "ip6tables-legacy-save"),
        ] {
            // It prints the tables that the kernel lists, and no others.
            if listed(family).has_tables() {
                match legacy(name, program) {
                    Ok(tables) => found.extend(tables),
                    Err(error) => unread.push(format!("{program}: {error}")),
                }
            }
        }
    }
    found.retain(|table| table.rules > 0 || table.chains.iter().any(|chain| chain.contains(' ')));
    OtherTables {
        tables: found,
        unread,
    }
}

/// The same by the name of the program that it is a link to; None for another name.
pub(super) fn is_nft_by_name(iptables: &str) -> Option<bool> {
    let program = fs::canonicalize(iptables).ok()?;
    match program.file_name()?.to_str()? {
        "xtables-nft-multi" => Some(true),
        "xtables-legacy-multi" => Some(false),
        _ => None,
    }
}

/// Whether it writes to nf_tables. It is a link to one program for all its names; only one with
/// another name has to be asked: `iptables v1.8.9 (nf_tables)`.
pub(super) fn is_nft(iptables: &str) -> bool {
    if let Some(is_nft) = is_nft_by_name(iptables) {
        return is_nft;
    }
    let version = process::start(iptables, &["--version"], None, None)
        .and_then(|running| running.finish(process::SHORT));
    version.is_ok_and(|version| version.contains("nf_tables"))
}

fn nftables(ours_is_nft: bool) -> io::Result<Vec<OtherTable>> {
    let request = |kind| Request {
        subsystem: NFTABLES,
        kind,
        family: 0,
        resource: 0,
        attributes: &[],
    };
    let dump = |kind| match Netfilter::open().and_then(|mut it| it.dump(request(kind))) {
        Err(error) if is_without_nf_tables(&error) => Ok(Vec::new()),
        dumped => dumped,
    };
    let chains = dump(GET_CHAIN)?;
    let rules = dump(GET_RULE)?;
    let ours = |family: &str, table: &str| {
        let mut all = TableName::ALL.into_iter();
        let is_ours = ours_is_nft && matches!(family, "ip" | "ip6");
        all.find(|known| is_ours && known.as_str() == table)
    };
    let mut hidden: BTreeSet<(u8, String, String)> = BTreeSet::new();
    let mut tables: BTreeMap<(u8, String), OtherTable> = BTreeMap::new();
    for chain in chains
        .iter()
        .filter(|chain| chain.attribute(CHAIN_HOOK).is_some())
    {
        let Some(family) = family_name(chain.family) else {
            continue;
        };
        let name = text(chain.attribute(CHAIN_TABLE));
        let hooked = text(chain.attribute(CHAIN_NAME));
        if let Some(table) = ours(family, &name) {
            if table.builtin_chains().contains(&hooked.as_str()) {
                continue;
            }
            hidden.insert((chain.family, name.clone(), hooked.clone()));
        }
        let table = tables
            .entry((chain.family, name.clone()))
            .or_insert_with(|| OtherTable {
                of: "nftables",
                name: format!("{family} {name}"),
                chains: Vec::new(),
                rules: 0,
                is_shared: false,
            });
        let drops = chain.attribute(CHAIN_POLICY) == Some(&[0; 4]);
        table
            .chains
            .push(if drops { hooked + " DROP" } else { hooked });
    }
    let mut shared: BTreeMap<(u8, String), OtherTable> = BTreeMap::new();
    for rule in &rules {
        let name = text(rule.attribute(RULE_TABLE));
        let chain = text(rule.attribute(RULE_CHAIN));
        // Of a table of iptables those of its own chains are shown.
        let of_iptables = family_name(rule.family).filter(|family| ours(family, &name).is_some());
        match of_iptables {
            Some(family) if !hidden.contains(&(rule.family, name.clone(), chain.clone())) => {
                if is_of_iptables(rule) {
                    continue;
                }
                let table = shared.entry((rule.family, name.clone()));
                let table = table.or_insert_with(|| OtherTable {
                    of: "nftables",
                    name: format!("{family} {name}"),
                    chains: Vec::new(),
                    rules: 0,
                    is_shared: true,
                });
                table.rules += 1;
                if !table.chains.contains(&chain) {
                    table.chains.push(chain);
                }
            }
            _ => {
                if let Some(table) = tables.get_mut(&(rule.family, name)) {
                    table.rules += 1;
                }
            }
        }
    }
    Ok(tables.into_values().chain(shared.into_values()).collect())
}

/// Whether the kernel has no nf_tables (nfnetlink_rcv_msg in net/netfilter/nfnetlink.c), or no
/// nfnetlink; then there are no tables.
fn is_without_nf_tables(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    matches!(
        code,
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT)
    )
}

/// Whether iptables wrote a rule, and so shows it whole: each of its rules counts (add_counters in
/// iptables/nft.c), none asks a set or a map, and none writes into packets by itself. Of others
/// iptables-nft-save leaves such parts out without a word.
fn is_of_iptables(rule: &Message) -> bool {
    let mut counts = false;
    let expressions = NlasIterator::new(rule.attribute(RULE_EXPRESSIONS).unwrap_or_default());
    for expression in expressions.filter_map(Result::ok) {
        let expression = expression.value();
        let data = attribute(expression, EXPRESSION_DATA).unwrap_or_default();
        match attribute(expression, EXPRESSION_NAME) {
            Some(b"counter\0") => counts = true,
            Some(b"lookup\0") => return false,
            Some(b"payload\0") if attribute(data, PAYLOAD_SOURCE_REGISTER).is_some() => {
                return false;
            }
            _ => {}
        }
    }
    counts
}

/// The name of an NFPROTO_* family that sees IP packets, or the ARP that they need.
fn family_name(family: u8) -> Option<&'static str> {
    match family {
        1 => Some("inet"),
        2 => Some("ip"),
        3 => Some("arp"),
        5 => Some("netdev"),
        7 => Some("bridge"),
        10 => Some("ip6"),
        _ => None,
    }
}

fn text(value: Option<&[u8]>) -> String {
    let value = value.unwrap_or_default();
    String::from_utf8_lossy(value)
        .trim_end_matches('\0')
        .to_owned()
}

fn legacy(family: &str, program: &str) -> Result<Vec<OtherTable>, String> {
    let Some(path) = process::find(program) else {
        return Ok(Vec::new());
    };
    let dump = process::start(&path.to_string_lossy(), &[], None, None)
        .and_then(|running| running.finish(process::SHORT))
        .map_err(|error| error.to_string())?;
    let ruleset = parse(&dump).map_err(|error| error.to_string())?;
    let tables = ruleset.tables().map(|(name, table)| OtherTable {
        of: "iptables-legacy",
        name: format!("{family} {}", name.as_str()),
        chains: table
            .chains
            .iter()
            .filter_map(|chain| match chain.policy? {
                ChainPolicy::Accept => Some(chain.name.to_string()),
                ChainPolicy::Drop => Some(format!("{} DROP", chain.name)),
            })
            .collect(),
        rules: table.chains.iter().map(|chain| chain.rules.len()).sum(),
        is_shared: false,
    });
    Ok(tables.collect())
}
