//! What the relay is told: the lines of `camfw show mail`, a key and a value each.
//!
//! camfw has checked the values. Here they are typed, so that a file that somebody else
//! made ends the relay at its start and not in the middle of a mail.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

/// What becomes of a file that the server took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterSending {
    /// It is removed.
    Delete,
    /// It goes into the folder of what was sent.
    Keep,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whom each mail goes to.
    pub to: Vec<String>,
    /// Whom it is from.
    pub from: String,
    /// The cameras whose uploads are sent; none where all share one folder.
    pub cameras: Vec<String>,
    /// The FTP server's folder.
    pub folder: PathBuf,
    /// The most mails in an hour.
    pub per_hour: usize,
    /// The most bytes of files in one mail.
    pub attachments: u64,
    /// What becomes of what was sent.
    pub after: AfterSending,
    /// After how many seconds what was sent is removed.
    pub keep_seconds: u64,
    /// The most bytes of one camera's files.
    pub quota_each: u64,
}

/// Why settings cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A key has no value, or one that it cannot have.
    #[error("the settings have no good {0}; let camfw show mail write them")]
    Bad(&'static str),
}

const MIB: u64 = 1 << 20;

impl Settings {
    /// Reads the lines of `camfw show mail`.
    ///
    /// # Errors
    /// Returns the first key that has no value or a bad one.
    pub fn parse(text: &str) -> Result<Settings, SettingsError> {
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            all.entry(key).or_default().push(value);
        }
        let values = |key: &'static str| all.get(key).map_or(&[][..], Vec::as_slice);
        let one = |key| match values(key) {
            [value] => Ok(*value),
            _ => Err(SettingsError::Bad(key)),
        };
        let number = |key, most: u64| {
            let number = one(key)?.parse().ok();
            number
                .filter(|number| (1..=most).contains(number))
                .ok_or(SettingsError::Bad(key))
        };
        let mailbox = |key, text: &str| {
            let harmless = |b: u8| b.is_ascii_alphanumeric() || b"@._+-=".contains(&b);
            let good = text.contains('@') && !text.starts_with('-') && text.bytes().all(harmless);
            good.then(|| text.to_owned()).ok_or(SettingsError::Bad(key))
        };
        let to: Vec<String> = values("to")
            .iter()
            .map(|to| mailbox("to", to))
            .collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err(SettingsError::Bad("to"));
        }
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let cameras = values("camera").iter().map(|line| {
            let name = line.split(' ').next().unwrap_or_default();
            // Beside the cameras' folders there is that of what was sent.
            let good = !name.is_empty() && name != "sent" && name.bytes().all(word);
            good.then(|| name.to_owned())
                .ok_or(SettingsError::Bad("camera"))
        });
        let cameras: Vec<String> = cameras.collect::<Result<_, _>>()?;
        let folder = PathBuf::from(one("folder")?);
        if !folder.is_absolute() {
            return Err(SettingsError::Bad("folder"));
        }
        let folders = cameras.len().max(1) as u64;
        Ok(Settings {
            to,
            from: mailbox("from", one("from")?)?,
            folder,
            per_hour: number("per-hour", 3600)? as usize,
            attachments: number("attachments", 50)? * MIB,
            after: match one("after")? {
                "delete" => AfterSending::Delete,
                "keep" => AfterSending::Keep,
                _ => return Err(SettingsError::Bad("after")),
            },
            keep_seconds: number("keep-days", 365)? * 86_400,
            quota_each: number("quota", MIB)? * MIB / folders,
            cameras,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "to a@example.org\nto b@example.org\nfrom r@example.org\nserver s\n\
        folder /srv/ftp\nper-hour 20\nattachments 10\nafter keep\nkeep-days 7\nquota 100\n\
        camera porch 192.168.8.11\ncamera garden 192.168.8.12\n";

    #[test]
    fn what_camfw_writes_is_read() -> Result<(), SettingsError> {
        let settings = Settings::parse(GOOD)?;
        assert_eq!(settings.to, ["a@example.org", "b@example.org"]);
        assert_eq!(settings.cameras, ["porch", "garden"]);
        assert_eq!(settings.quota_each, 50 << 20);
        assert_eq!(settings.after, AfterSending::Keep);
        Ok(())
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (line, other, key) in [
            ("to a@example.org\nto b@example.org\n", "", "to"),
            ("from r@example.org", "from -oops@example.org", "from"),
            (
                "from r@example.org",
                "from r@example.org --file=/etc/x",
                "from",
            ),
            ("folder /srv/ftp", "folder srv", "folder"),
            ("per-hour 20", "per-hour 0", "per-hour"),
            ("after keep", "after burn", "after"),
            ("camera porch", "camera ../porch", "camera"),
            ("camera porch", "camera sent", "camera"),
            ("quota 100", "quota 100\nquota 200", "quota"),
        ] {
            let text = GOOD.replace(line, other);
            assert_eq!(
                Settings::parse(&text),
                Err(SettingsError::Bad(key)),
                "{other}"
            );
        }
    }
}
