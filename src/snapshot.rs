//! A stored policy: the text of its files with a digest.
//!
//! Owns the format. A file that was truncated or altered does not parse.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use crate::family::{Families, IpFamily};
use crate::json::{FromJson, Json, JsonText, ToJson};
use crate::netfilter::{Ruleset, TableName, restore_text};
use crate::source::{Source, SourceFile};

/// The first line of a stored policy.
const HEAD: &str = "camfw kept policy 1";

/// How each file of a stored policy begins: those of the configuration, then the lists.
const FILE: &str = "file";
const LIST: &str = "list";

/// The SHA-256 of a policy's files and lists, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyHash(String);

impl fmt::Display for PolicyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ToJson for PolicyHash {
    fn write_json(&self, json: &mut JsonText) {
        json.string(&self.0);
    }
}

impl FromJson for PolicyHash {
    fn from_json(value: Json) -> Option<PolicyHash> {
        String::from_json(value).map(PolicyHash)
    }
}

/// What tells rules from others: the SHA-256 of their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RulesHash(String);

impl RulesHash {
    pub(crate) fn new(rules: &Families<Ruleset>) -> RulesHash {
        let mut digest = Sha256::new();
        for family in IpFamily::ALL {
            let rules = rules.get(family);
            for table in TableName::ALL {
                digest.update(restore_text(rules, &[table]));
            }
        }
        RulesHash(hexadecimal(&digest.finalize()))
    }
}

/// The configuration files of one policy.
#[derive(Debug, Clone)]
pub struct PolicySnapshot {
    /// The main file, its drop-ins, and the lists that they name.
    pub source: Source,
}

impl PolicySnapshot {
    /// The SHA-256 of the concatenated texts of the files and then the lists, as
    /// `cat FILES | sha256sum` prints it.
    pub fn hash(&self) -> PolicyHash {
        let mut digest = Sha256::new();
        for file in self.source.files().iter().chain(self.source.lists()) {
            digest.update(file.text.as_bytes());
        }
        PolicyHash(hexadecimal(&digest.finalize()))
    }

    /// The lists in which alone this policy differs from another; none if files do, too.
    pub(crate) fn lists_unlike(&self, other: &PolicySnapshot) -> Vec<&str> {
        let (own, others) = (&self.source, &other.source);
        let mut pairs = own.files().iter().zip(others.files());
        let is_as_many = own.files().len() == others.files().len();
        if !is_as_many || pairs.any(|(own, other)| own.text != other.text) {
            return Vec::new();
        }
        let lists = own.lists().iter().filter(|list| {
            let mut known = others.lists().iter();
            !known.any(|known| known.name == list.name && known.text == list.text)
        });
        lists.map(|list| list.name.as_str()).collect()
    }

    /// The stored form.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let (files, lists) = (self.source.files(), self.source.lists());
        for (kind, files) in [(FILE, files), (LIST, lists)] {
            for SourceFile { name, text: of, .. } in files {
                let _ = write!(
                    text,
                    "{kind} {} {}\n{of}\n",
                    of.len(),
                    crate::source::one_line(name)
                );
            }
        }
        let digest = hexadecimal(&Sha256::digest(text.as_bytes()));
        format!("{HEAD}\n{digest}\n{text}")
    }

    /// Parses the output of `to_text`; None if it is truncated or altered.
    pub fn from_text(text: &str) -> Option<PolicySnapshot> {
        let rest = text.strip_prefix(HEAD)?.strip_prefix('\n')?;
        let (digest, mut rest) = rest.split_once('\n')?;
        if hexadecimal(&Sha256::digest(rest.as_bytes())) != digest {
            return None;
        }
        let mut source: Option<Source> = None;
        while !rest.is_empty() {
            let (head, after) = rest.split_once('\n')?;
            let (kind, head) = head.split_once(' ')?;
            let (length, name) = head.split_once(' ')?;
            let length: usize = length.parse().ok()?;
            let text = after.get(..length)?;
            source = Some(match (source, kind) {
                (None, FILE) => Source::new(name, text),
                (Some(source), FILE) if source.lists().is_empty() => source.with(name, text),
                (Some(source), LIST) => source.with_list(name, text),
                _ => return None,
            });
            rest = after.get(length..)?.strip_prefix('\n')?;
        }
        source.map(|source| PolicySnapshot { source })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_torn_does_not() {
        let source = Source::new("/etc/camfw.toml", "a = 1\nfile 3 x\nü")
            .with("/etc/camfw.d/with space.toml", "")
            .with_list("/etc/a list.txt", "192.0.2.1\r\n");
        let text = PolicySnapshot { source }.to_text();
        let back = PolicySnapshot::from_text(&text);
        let lists = back.iter().flat_map(|back| back.source.lists());
        let lists: Vec<_> = lists
            .map(|of| (of.name.as_str(), of.text.as_str()))
            .collect();
        assert_eq!(lists, [("/etc/a list.txt", "192.0.2.1\r\n")]);
        let back: Vec<_> = back.iter().flat_map(|back| back.source.files()).collect();
        let back: Vec<_> = back
            .iter()
            .map(|of| (of.name.as_str(), of.text.as_str()))
            .collect();
        assert_eq!(
            back,
            [
                ("/etc/camfw.toml", "a = 1\nfile 3 x\nü"),
                ("/etc/camfw.d/with space.toml", "")
            ]
        );
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert!(
                PolicySnapshot::from_text(&text[..end]).is_none(),
                "cut off at {end}"
            );
        }
        assert!(PolicySnapshot::from_text(&text.replace("a = 1", "a = 2")).is_none());
    }

    #[test]
    fn a_list_is_part_of_the_policy() {
        let kept = |text: &str, list: &str| PolicySnapshot {
            source: Source::new("f", text)
                .with_list("/l", "1\n")
                .with_list("/m", list),
        };
        let before = kept("a", "2\n");
        assert_ne!(kept("a", "3\n").hash(), before.hash());
        assert_eq!(kept("a", "3\n").lists_unlike(&before), ["/m"]);
        assert!(kept("b", "3\n").lists_unlike(&before).is_empty());
        assert!(kept("a", "2\n").lists_unlike(&before).is_empty());
    }

    #[test]
    fn the_hash_is_that_of_the_text() {
        let kept = PolicySnapshot {
            source: Source::new("f", "abc"),
        };
        // FIPS 180-2, appendix B.1
        assert_eq!(
            kept.hash().to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
