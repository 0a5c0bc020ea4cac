//! A policy as it is kept for later: the text of its files, under a digest.
//!
//! Owns the form. A file that was cut off, or that somebody changed, is none.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::source::{Source, SourceFile};

/// The first line.
const HEAD: &str = "camfw kept policy 1";

/// A policy's files.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The main file and its drop-ins.
    pub source: Source,
}

impl Kept {
    /// The policy's hash: SHA-256 of the files' texts one after the other, in
    /// hexadecimal, as `cat FILES | sha256sum` has it.
    pub fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for file in self.source.files() {
            digest.update(file.text.as_bytes());
        }
        hexadecimal(&digest.finalize())
    }

    /// As it is written to a disk.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for SourceFile { name, text: of, .. } in self.source.files() {
            let _ = write!(
                text,
                "file {} {}\n{of}\n",
                of.len(),
                crate::source::one_line(name)
            );
        }
        let digest = hexadecimal(&Sha256::digest(text.as_bytes()));
        format!("{HEAD}\n{digest}\n{text}")
    }

    /// From what `to_text` made; None if it is not whole.
    pub fn from_text(text: &str) -> Option<Kept> {
        let rest = text.strip_prefix(HEAD)?.strip_prefix('\n')?;
        let (digest, mut rest) = rest.split_once('\n')?;
        if hexadecimal(&Sha256::digest(rest.as_bytes())) != digest {
            return None;
        }
        let mut source: Option<Source> = None;
        while !rest.is_empty() {
            let (head, after) = rest.strip_prefix("file ")?.split_once('\n')?;
            let (length, name) = head.split_once(' ')?;
            let length: usize = length.parse().ok()?;
            let text = after.get(..length)?;
            source = Some(match source {
                None => Source::new(name, text),
                Some(source) => source.with(name, text),
            });
            rest = after.get(length..)?.strip_prefix('\n')?;
        }
        source.map(|source| Kept { source })
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
            .with("/etc/camfw.d/with space.toml", "");
        let text = Kept { source }.to_text();
        let back = Kept::from_text(&text);
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
            assert!(Kept::from_text(&text[..end]).is_none(), "cut off at {end}");
        }
        assert!(Kept::from_text(&text.replace("a = 1", "a = 2")).is_none());
    }

    #[test]
    fn the_hash_is_that_of_the_text() {
        let kept = Kept {
            source: Source::new("f", "abc"),
        };
        // FIPS 180-2, appendix B.1
        assert_eq!(
            kept.hash(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
