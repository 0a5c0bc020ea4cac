//! The message: what a mail says, and its bytes.

use std::fmt::Write as _;
use std::io::{self, Write};

use mail_builder::MessageBuilder;
use mail_builder::headers::date::Date;
use sha2::{Digest, Sha256};

use crate::media::Media;
use crate::name;
use crate::settings::Settings;

/// A file that a mail has, or tells of.
#[derive(Debug)]
pub struct Enclosed {
    /// The camera; empty where all share one folder.
    pub camera: String,
    /// The file's own name.
    pub file: Vec<u8>,
    /// When it was uploaded, in seconds since 1970.
    pub uploaded: i64,
    /// Its size in bytes.
    pub size: u64,
    /// What it is, and its bytes; None if it is too large for a mail.
    pub content: Option<(Media, Vec<u8>)>,
}

/// A mail.
#[derive(Debug)]
pub struct Letter<'a> {
    /// Whom it is from and to.
    pub settings: &'a Settings,
    /// Its files.
    pub enclosed: &'a [Enclosed],
    /// What else has to be told, a line each.
    pub notes: &'a [String],
    /// The date, in seconds since 1970.
    pub now: i64,
}

impl Letter<'_> {
    /// Writes the message (RFC 5322, RFC 2045).
    ///
    /// # Errors
    /// Returns an error if it cannot be written.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let to: Vec<&str> = self.settings.to.iter().map(String::as_str).collect();
        let names: Vec<Option<String>> = self.names();
        let mut message = MessageBuilder::new()
            .from(self.settings.from.as_str())
            .to(to)
            .subject(self.subject())
            .date(Date::new(self.now))
            .message_id(self.message_id())
            // RFC 3834: no answer of a machine, please.
            .header(
                "Auto-Submitted",
                mail_builder::headers::raw::Raw::new("auto-generated"),
            )
            .text_body(self.text(&names));
        for (enclosed, name) in self.enclosed.iter().zip(names) {
            if let (Some((media, bytes)), Some(name)) = (&enclosed.content, name) {
                message = message.attachment(media.mime_type(), name, bytes.as_slice());
            }
        }
        message.write_to(out)
    }

    /// `porch: 1 file`, or how many of which cameras.
    fn subject(&self) -> String {
        let mut cameras: Vec<&str> = self.enclosed.iter().map(|it| it.camera.as_str()).collect();
        cameras.sort_unstable();
        cameras.dedup();
        let files = match self.enclosed.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        match cameras.as_slice() {
            [] => "camfw-mail".to_owned(),
            [""] => format!("uploads: {files}"),
            [camera] => format!("{camera}: {files}"),
            more => format!("{} cameras: {files}", more.len()),
        }
    }

    /// The same for the same files, so that a mail that is sent twice, since the relay was
    /// ended before it knew that the server had it, can be told for what it is.
    fn message_id(&self) -> String {
        let mut hash = Sha256::new();
        for enclosed in self.enclosed {
            hash.update(enclosed.camera.as_bytes());
            hash.update([0]);
            hash.update(&enclosed.file);
            hash.update([0]);
            hash.update(enclosed.uploaded.to_le_bytes());
            if let Some((_, bytes)) = &enclosed.content {
                hash.update(bytes);
            }
        }
        let mut id = String::new();
        for byte in hash.finalize().iter().take(16) {
            let _ = write!(id, "{byte:02x}");
        }
        let domain = self.settings.from.rsplit('@').next().unwrap_or("localhost");
        format!("{id}@{domain}")
    }

    /// A name of its own for each attachment.
    fn names(&self) -> Vec<Option<String>> {
        let mut taken: Vec<String> = Vec::new();
        let names = self.enclosed.iter().map(|enclosed| {
            let (media, _) = enclosed.content.as_ref()?;
            let numbered =
                |number| name::attachment(&enclosed.camera, &enclosed.file, number, *media);
            let name = (1..).map(numbered).find(|name| !taken.contains(name))?;
            taken.push(name.clone());
            Some(name)
        });
        names.collect()
    }

    fn text(&self, names: &[Option<String>]) -> String {
        let mut text = String::new();
        for (enclosed, name) in self.enclosed.iter().zip(names) {
            let uploaded = Date::new(enclosed.uploaded).to_rfc822();
            let (file, size) = (name::shown(&enclosed.file), enclosed.size);
            let camera = match enclosed.camera.as_str() {
                "" => String::new(),
                camera => format!("{camera}, "),
            };
            let _ = match name {
                Some(name) => writeln!(
                    text,
                    "{name}: {camera}{uploaded}, {size} bytes, uploaded as {file}"
                ),
                None => writeln!(
                    text,
                    "too large for a mail, so that it stays on the router: {camera}{uploaded}, {size} bytes, uploaded as {file}"
                ),
            };
        }
        for note in self.notes {
            let _ = writeln!(text, "\n{note}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Result<Settings, crate::settings::SettingsError> {
        Settings::parse(
            "to a@example.org\nto b@example.org\nfrom r@example.org\nfolder /srv/ftp\nper-hour 20\n\
             attachments 10\nafter delete\nkeep-days 7\nquota 100\ncamera porch x\n",
        )
    }

    fn enclosed(file: &[u8], bytes: &[u8]) -> Enclosed {
        Enclosed {
            camera: "porch".into(),
            file: file.to_vec(),
            uploaded: 1_764_140_614,
            size: bytes.len() as u64,
            content: Some((Media::Jpeg, bytes.to_vec())),
        }
    }

    fn written(files: &[Enclosed]) -> Result<String, Box<dyn std::error::Error>> {
        let settings = settings()?;
        let letter = Letter {
            settings: &settings,
            enclosed: files,
            notes: &[],
            now: 1_764_140_700,
        };
        let mut bytes = Vec::new();
        letter.write(&mut bytes)?;
        Ok(String::from_utf8(bytes)?)
    }

    #[test]
    fn a_hostile_name_makes_no_header_and_no_part() -> Result<(), Box<dyn std::error::Error>> {
        let name = b"x\r\nBcc: all@example.org\r\n\r\n--\".jpg";
        let text = written(&[enclosed(name, b"picture")])?;
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(!lines.iter().any(|line| line.starts_with("Bcc")), "{text}");
        assert!(lines.contains(&"Subject: porch: 1 file"), "{text}");
        assert!(
            text.contains("uploaded as x\\x0d\\x0aBcc: all@example.org"),
            "{text}"
        );
        assert!(text.is_ascii());
        Ok(())
    }

    #[test]
    fn files_of_one_name_are_told_apart_and_a_mail_has_one_id()
    -> Result<(), Box<dyn std::error::Error>> {
        let files = [enclosed(b"a.jpg", b"one"), enclosed(b"a.jpg", b"two")];
        let text = written(&files)?;
        assert!(
            text.contains("porch-a.jpg") && text.contains("porch-a-2.jpg"),
            "{text}"
        );
        let id = |text: &str| {
            text.lines()
                .find(|line| line.starts_with("Message-ID"))
                .map(str::to_owned)
        };
        assert_eq!(id(&text), id(&written(&files)?));
        assert_ne!(id(&text), id(&written(&files[..1])?));
        Ok(())
    }

    #[test]
    fn what_is_too_large_is_told() -> Result<(), Box<dyn std::error::Error>> {
        let mut file = enclosed(b"clip.mp4", b"");
        file.content = None;
        let text = written(&[file])?;
        assert!(text.contains("too large for a mail"), "{text}");
        assert!(!text.contains("attachment"), "{text}");
        Ok(())
    }
}
