//! Resolves lists of addresses that are files of their own: one address, range or network a
//! line, and comments that begin with `#` or `;`.
//!
//! Each list is read once, wherever and however often it is named.

use std::ops::Range;

use ipnet::IpNet;

use super::address;
use crate::config::{Ipv6Mode, list_path};
use crate::source::{Refusal, Refused, Source, SourceFile};

/// Longer than any address, range or network. What is longer is not told word by word.
const LONGEST: usize = 100;

/// The lists in the order of the source's, each without value if it is refused.
#[derive(Default)]
pub(super) struct Lists(Vec<Option<AddressList>>);

/// What a list says.
pub(super) struct AddressList {
    /// Without IPv6 where that is dropped.
    pub(super) networks: Vec<IpNet>,
    /// Those of ranges, which name no host by itself.
    pub(super) ranges: Vec<IpNet>,
}

impl Lists {
    pub(super) fn new(ipv6: Ipv6Mode, source: &Source, refused: &mut Refused) -> Lists {
        let read = source.lists().iter();
        let read = read.map(|file| refused.note(list(file, ipv6, source)));
        Lists(read.collect())
    }

    /// The list that a text names; None if it names none.
    pub(super) fn named(
        &self,
        text: &str,
        span: Range<usize>,
        source: &Source,
    ) -> Option<Result<&AddressList, Refusal>> {
        let path = list_path(text)?;
        let place = source.lists().iter().position(|list| list.name == path);
        Some(match place.and_then(|place| self.0.get(place)) {
            Some(Some(list)) => Ok(list),
            Some(None) => Err(Refusal::consequence()),
            None => Err(source.refuse(
                span,
                format_args!(
                    "{text:?} names no list that is read; write its whole path, as in \"@/etc/camfw/blocklist.txt\""
                ),
            )),
        })
    }
}

/// Of many bad lines the first is told, since the file is then most likely no list at all.
fn list(file: &SourceFile, ipv6: Ipv6Mode, source: &Source) -> Result<AddressList, Refusal> {
    let mut list = AddressList {
        networks: Vec::new(),
        ranges: Vec::new(),
    };
    let mut count = 0_usize;
    let mut bad: Option<(usize, String)> = None;
    let mut more_bad = 0_usize;
    for (at, entry) in entries(file) {
        count += 1;
        match networks(entry) {
            Ok(networks) => {
                let ours = |network: &&IpNet| ipv6 == Ipv6Mode::Same || network.addr().is_ipv4();
                if entry.contains('-') && address::names_no_host(&networks) {
                    list.ranges.extend(networks.iter().filter(ours));
                }
                list.networks.extend(networks.iter().filter(ours));
            }
            Err(_) if bad.is_some() => more_bad += 1,
            Err(what) => bad = Some((at, what)),
        }
    }
    if let Some((at, what)) = bad {
        let more = match more_bad {
            0 => String::new(),
            more => format!(" (bad lines of this list beside it: {more})"),
        };
        return Err(source.refuse(at..at, what + &more));
    }
    if count == 0 {
        return Err(source.refuse(
            file.start..file.start,
            "the list is empty, as a download that was interrupted leaves it; write an address into it, or remove @ and its path from the file",
        ));
    }
    Ok(list)
}

/// What a list has a line for, each with its offset.
fn entries(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let body = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let mut start = file.start + file.text.len() - body.len();
    let lines = body.split_inclusive('\n').map(move |line| {
        let entry = line.split(['#', ';']).next().unwrap_or_default();
        let at = start + entry.len() - entry.trim_start().len();
        start += line.len();
        (at, entry.trim())
    });
    lines.filter(|(_, entry)| !entry.is_empty())
}

/// Where a list has a network.
pub(super) fn place_of(file: &SourceFile, network: &IpNet) -> Option<usize> {
    let has = |entry: &str| networks(entry).is_ok_and(|all| all.contains(network));
    let mut entries = entries(file);
    entries.find_map(|(at, entry)| has(entry).then_some(at))
}

fn networks(entry: &str) -> Result<Vec<IpNet>, String> {
    if entry.len() > LONGEST {
        return Err(
            "this is not a list of addresses; write one address, range or network a line, and comments after #"
                .into(),
        );
    }
    address::one(entry).map_err(|what| match entry.contains(',') {
        true => format!("{entry:?} is more than one address; write each in a line of its own"),
        false => what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list says, as text.
    fn said(text: &str, ipv6: Ipv6Mode) -> Result<Vec<String>, Refusal> {
        let source = Source::new("c", "").with_list("/l", text);
        let mut refused = Refused::default();
        let lists = Lists::new(ipv6, &source, &mut refused);
        refused.or(())?;
        let list = lists.named("@/l", 0..0, &source);
        let networks = list.ok_or_else(Refusal::consequence)??.networks.iter();
        Ok(networks.map(ToString::to_string).collect())
    }

    #[test]
    fn lines_are_read_as_people_have_them() -> Result<(), Refusal> {
        let text = "\u{feff}192.0.2.1\r\n;192.0.2.2\r\n\r\n  192.0.2.4/30 ; SBL1\n\
                    2001:db8::/32#all\n192.0.2.8-192.0.2.9\t# a range; of two";
        let ipv4 = ["192.0.2.1/32", "192.0.2.4/30", "192.0.2.8/31"];
        assert_eq!(said(text, Ipv6Mode::Drop)?, ipv4);
        let both = [
            "192.0.2.1/32",
            "192.0.2.4/30",
            "2001:db8::/32",
            "192.0.2.8/31",
        ];
        assert_eq!(said(text, Ipv6Mode::Same)?, both);
        assert!(said("2001:db8::/32", Ipv6Mode::Drop)?.is_empty());
        Ok(())
    }

    #[test]
    fn a_file_that_is_no_list_is_refused_in_one_line() {
        let why = |text: &str| match said(text, Ipv6Mode::Same) {
            Ok(_) => "it was taken".to_owned(),
            Err(refusal) => refusal.to_string(),
        };
        let many = why(&("192.0.2.1\n".to_owned() + &"no address\n".repeat(50_000)));
        assert!(
            many.starts_with("/l:2:1: \"no address\" is neither"),
            "{many}"
        );
        assert!(
            many.ends_with("(bad lines of this list beside it: 49999)"),
            "{many}"
        );
        let page = why(&"<html>".repeat(100_000));
        assert!(
            page.starts_with("/l:1:1: this is not a list") && page.len() < 200,
            "{page}"
        );
        assert!(why("\n# none\n").starts_with("/l:1:1: the list is empty"));
    }

    #[test]
    fn a_path_that_is_not_whole_names_no_list() {
        let source = Source::new("c", "").with_list("/l", "192.0.2.1");
        let lists = Lists::new(Ipv6Mode::Drop, &source, &mut Refused::default());
        assert!(lists.named("192.0.2.1", 0..0, &source).is_none());
        for text in ["@l", "@", "@/other"] {
            let named = lists.named(text, 0..0, &source);
            assert!(named.is_some_and(|list| list.is_err()), "{text}");
        }
    }
}
