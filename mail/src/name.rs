//! What a file is called in a mail. A camera may call its files anything: what is written
//! into a header is made anew of what is harmless.

use std::fmt::Write;

use crate::media::Media;

/// The most characters of the camera's own name that are kept.
const MOST: usize = 48;

/// The most bytes of a name, or of what a program said, that are shown.
const MOST_SHOWN: usize = 200;

/// The name of an attachment: the camera's, then what is harmless of the file's own name
/// without its ending, then a number from 2 where one mail has several of that name, then
/// the ending of what it is.
pub fn attachment(camera: &str, file: &[u8], number: usize, media: Media) -> String {
    let is_ending = |text: &[u8]| text.len() <= 5 && text.iter().all(u8::is_ascii_alphanumeric);
    let stem = match file.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 && is_ending(&file[dot + 1..]) => &file[..dot],
        _ => file,
    };
    let stem = stem.iter().take(MOST).map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(*byte),
        b'-' | b'_' => char::from(*byte),
        _ => '_',
    });
    let stem: String = stem.collect();
    let dash = if camera.is_empty() { "" } else { "-" };
    let number = match number {
        1 => String::new(),
        number => format!("-{number}"),
    };
    format!("{camera}{dash}{stem}{number}.{}", media.ending())
}

/// A line that another program said, without what would end it or control a terminal.
pub fn shown_line(line: &str) -> String {
    shown(line.trim().as_bytes())
}

/// A file's own name for a reader: printable ASCII in one line.
pub fn shown(file: &[u8]) -> String {
    let mut text = String::new();
    for byte in file.iter().take(MOST_SHOWN) {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    if file.len() > MOST_SHOWN {
        text += "…";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_a_header_a_path_or_a_command() {
        for (file, name) in [
            (&b"motion 2026-11-26.jpg"[..], "porch-motion_2026-11-26.jpg"),
            (
                b"a\r\nBcc: all@example.org.jpg",
                "porch-a__Bcc__all_example_org.jpg",
            ),
            (b"../../etc/passwd", "porch-______etc_passwd.jpg"),
            (b"$(reboot);`x`|\"'\\.exe", "porch-__reboot___x_____.jpg"),
            (b".htaccess", "porch-_htaccess.jpg"),
            (b"\xff\xfe\x00", "porch-___.jpg"),
            (b"", "porch-.jpg"),
        ] {
            let made = attachment("porch", file, 1, Media::Jpeg);
            assert_eq!(made, name);
            let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            assert!(made.chars().all(harmless), "{made}");
        }
        assert_eq!(attachment("", &[b'a'; 500], 1, Media::Png).len(), MOST + 4);
    }

    #[test]
    fn a_name_is_shown_in_one_line() {
        assert_eq!(shown(b"a\nb\x1b[0m\xff"), "a\\x0ab\\x1b[0m\\xff");
        assert_eq!(shown(&[b'a'; 300]).chars().count(), MOST_SHOWN + 1);
    }
}
