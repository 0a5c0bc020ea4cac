//! Whether a file is a picture or a clip, and whole: by its content, never by its name.
//!
//! Every type here says where its end is. A file that ends before it, or goes on after it,
//! is not whole: it was cut off, is still being written, or carries something else. That
//! what lies in between decodes is not checked, but for PNG's own sums; what a power cut
//! leaves of a file that the disk did not have yet is [`has_lost_page`]'s.

mod lost_page;

pub use lost_page::has_lost_page;

/// A type of file that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// ITU T.81
    Jpeg,
    /// RFC 2083
    Png,
    /// GIF89a
    Gif,
    /// RIFF with the form `WEBP`
    Webp,
    /// ISO/IEC 14496-12
    Mp4,
    /// RIFF with the form `AVI `
    Avi,
    /// RFC 9559, and WebM
    Matroska,
}

impl Media {
    /// The type of a file that begins with these bytes; the first 16 are enough.
    pub fn of_beginning(bytes: &[u8]) -> Option<Media> {
        let riff = |form: &[u8; 4]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(form);
        if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
            Some(Media::Jpeg)
        } else if bytes.starts_with(PNG) {
            Some(Media::Png)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(Media::Gif)
        } else if riff(b"WEBP") {
            Some(Media::Webp)
        } else if riff(b"AVI ") {
            Some(Media::Avi)
        } else if bytes.get(4..8) == Some(b"ftyp") {
            Some(Media::Mp4)
        } else if bytes.starts_with(&EBML) {
            Some(Media::Matroska)
        } else {
            None
        }
    }

    /// The type of a whole file; None if it is none, or not whole.
    pub fn of_whole(bytes: &[u8]) -> Option<Media> {
        let media = Media::of_beginning(bytes)?;
        let is_whole = match media {
            Media::Jpeg => jpeg(bytes),
            Media::Png => png(bytes),
            Media::Gif => gif(bytes),
            Media::Webp | Media::Avi => riff(bytes),
            Media::Mp4 => mp4(bytes),
            Media::Matroska => matroska(bytes),
        };
        is_whole.filter(|rest| rest.is_empty()).map(|_| media)
    }

    /// The type as mail programs know it.
    pub fn mime_type(self) -> &'static str {
        match self {
            Media::Jpeg => "image/jpeg",
            Media::Png => "image/png",
            Media::Gif => "image/gif",
            Media::Webp => "image/webp",
            Media::Mp4 => "video/mp4",
            Media::Avi => "video/x-msvideo",
            Media::Matroska => "video/x-matroska",
        }
    }

    /// The ending of a file's name, without the dot.
    pub fn ending(self) -> &'static str {
        match self {
            Media::Jpeg => "jpg",
            Media::Png => "png",
            Media::Gif => "gif",
            Media::Webp => "webp",
            Media::Mp4 => "mp4",
            Media::Avi => "avi",
            Media::Matroska => "mkv",
        }
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const EBML: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

/// What follows the first `count` bytes.
fn after(bytes: &[u8], count: usize) -> Option<&[u8]> {
    bytes.get(count..)
}

fn be16(bytes: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(
        bytes.get(..2)?.try_into().ok()?,
    )))
}

fn be32(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?)).ok()
}

fn le32(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?)).ok()
}

/// Segments up to the end-of-image marker (T.81, B.1). Each of these functions returns what
/// follows the file's own end; None if there is none.
fn jpeg(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = after(bytes, 2)?;
    let mut has_scan = false;
    loop {
        // Any number of fill bytes may stand before a marker (B.1.1.2).
        while rest.starts_with(&[0xFF, 0xFF]) {
            rest = after(rest, 1)?;
        }
        let [0xFF, marker, ..] = *rest else {
            return None;
        };
        rest = after(rest, 2)?;
        match marker {
            0xD9 if has_scan => return Some(padded(rest)),
            // Restart markers, and TEM, stand alone.
            0x01 | 0xD0..=0xD7 => {}
            0x02..=0xBF | 0x00 | 0xD8 | 0xD9 => return None,
            _ => {
                let length = be16(rest)?;
                if length < 2 {
                    return None;
                }
                rest = after(rest, length)?;
                if marker == 0xDA {
                    has_scan = true;
                    rest = after_scan(rest)?;
                }
            }
        }
    }
}

/// Entropy-coded data ends at the first marker that is neither a stuffed zero nor a
/// restart (B.1.1.5).
fn after_scan(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xFF)?;
        match bytes.get(at + 1)? {
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return after(bytes, at),
        }
    }
}

/// Cameras pad pictures with zeros to a multiple of their buffer.
fn padded(rest: &[u8]) -> &[u8] {
    match rest.iter().all(|byte| *byte == 0) {
        true => &[],
        false => rest,
    }
}

/// Chunks up to IEND, each with its sum (RFC 2083, 3.2).
fn png(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = after(bytes, PNG.len())?;
    loop {
        let end = be32(rest)?.checked_add(8)?;
        let (named, sum) = (rest.get(4..end)?, be32(after(rest, end)?)?);
        if crc32(named) as usize != sum {
            return None;
        }
        rest = after(rest, end + 4)?;
        if named.starts_with(b"IEND") {
            return Some(rest);
        }
    }
}

/// The sum of a PNG's chunk (RFC 2083, 3.4 and its appendix).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let (mut table, mut byte) = ([0; 256], 0);
        while byte < 256 {
            let (mut sum, mut bit) = (byte as u32, 0);
            while bit < 8 {
                sum = sum >> 1 ^ (0xEDB8_8320 * (sum & 1));
                bit += 1;
            }
            table[byte] = sum;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum: u32, byte| {
        TABLE[(sum as u8 ^ byte) as usize] ^ sum >> 8
    })
}

/// Blocks up to the trailer (GIF89a, appendix A).
fn gif(bytes: &[u8]) -> Option<&[u8]> {
    let colours = |flags: u8| match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    };
    let mut rest = after(bytes, 13 + colours(*bytes.get(10)?))?;
    loop {
        let skipped = match *rest.first()? {
            0x3B => return after(rest, 1),
            0x21 => 2,
            0x2C => 11 + colours(*rest.get(9)?),
            _ => return None,
        };
        rest = after(rest, skipped)?;
        loop {
            let length = usize::from(*rest.first()?);
            rest = after(rest, length + 1)?;
            if length == 0 {
                break;
            }
        }
    }
}

/// A file of more than 1 GiB goes on in further RIFF chunks (OpenDML).
fn riff(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    while rest.starts_with(b"RIFF") {
        let length = le32(rest.get(4..8)?)?;
        // Chunks begin at even places.
        rest = after(rest, length.checked_add(8 + (length & 1))?)?;
    }
    Some(rest)
}

/// Boxes (4.2), of which one has the index and one, or more, the media itself. What is in
/// fragments has an end only where their own index is the last box (8.8.11): without it, it
/// may have been cut off between two of them.
fn mp4(bytes: &[u8]) -> Option<&[u8]> {
    let (mut rest, mut has_index, mut has_media) = (bytes, false, false);
    let mut has_end = true;
    while !rest.is_empty() {
        let name = rest.get(4..8)?;
        let length = match be32(rest)? {
            // To the end of the file, wherever that is: nobody can say whether it is whole.
            0 => return None,
            1 => usize::try_from(u64::from_be_bytes(rest.get(8..16)?.try_into().ok()?)).ok()?,
            length => length,
        };
        if length < 8 {
            return None;
        }
        has_index |= name == b"moov";
        has_media |= name == b"mdat";
        match name {
            b"moof" => has_end = false,
            b"mfra" => has_end = true,
            _ => {}
        }
        rest = after(rest, length)?;
    }
    (has_index && has_media && has_end).then_some(rest)
}

/// An EBML header, and segments of a known size (RFC 8794, 6).
fn matroska(bytes: &[u8]) -> Option<&[u8]> {
    const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
    let (mut rest, mut has_segment) = (bytes, false);
    while !rest.is_empty() {
        let name = rest.get(..4)?;
        if name != EBML && name != SEGMENT && rest.first() != Some(&0xEC) {
            return None;
        }
        has_segment |= name == SEGMENT;
        // 0xEC, Void, is a name of one byte.
        let (length, head) = ebml_size(after(rest, if name[0] == 0xEC { 1 } else { 4 })?)?;
        let name_length = if name[0] == 0xEC { 1 } else { 4 };
        rest = after(rest, length.checked_add(name_length + head)?)?;
    }
    has_segment.then_some(rest)
}

/// A size, and how many bytes it has itself. All ones stand for a size that is not known, as
/// of a live stream: where that ends is not said anywhere.
fn ebml_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.first()?;
    let head = first.leading_zeros() as usize + 1;
    if head > 8 {
        return None;
    }
    let mut size = u64::from(first) & ((1 << (8 - head)) - 1);
    for byte in bytes.get(1..head)? {
        size = size << 8 | u64::from(*byte);
    }
    let unknown = (1 << (7 * head)) - 1;
    (size != unknown).then_some((usize::try_from(size).ok()?, head))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A whole file of each type.
    pub(super) fn examples() -> Vec<(Media, Vec<u8>)> {
        let chunk = |name: &[u8], data: &[u8]| {
            let length = (data.len() as u32).to_be_bytes();
            let sum = crc32(&[name, data].concat()).to_be_bytes();
            [&length, name, data, &sum].concat()
        };
        let mp4_box = |name: &[u8], data: &[u8]| {
            let length = (data.len() as u32 + 8).to_be_bytes();
            [&length, name, data].concat()
        };
        let riff = |form: &[u8], data: &[u8]| {
            let length = (data.len() as u32 + 4).to_le_bytes();
            [b"RIFF", &length[..], form, data].concat()
        };
        let jpeg = b"\xFF\xD8\xFF\xE0\x00\x04ab\xFF\xDA\x00\x02picture\xFF\x00\xFF\xD3more\xFF\xD9";
        let gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00colour\x21\xF9\x04abcd\x00\
                    \x2C\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02ab\x00\x3B";
        vec![
            (Media::Jpeg, jpeg.to_vec()),
            (
                Media::Png,
                [PNG, &chunk(b"IHDR", b"1234"), &chunk(b"IEND", b"")].concat(),
            ),
            (Media::Gif, gif.to_vec()),
            (Media::Webp, riff(b"WEBP", b"VP8 data")),
            (Media::Avi, riff(b"AVI ", b"LISTdata")),
            (
                Media::Mp4,
                [
                    mp4_box(b"ftyp", b"isom"),
                    mp4_box(b"mdat", b"media"),
                    mp4_box(b"moov", b"index"),
                ]
                .concat(),
            ),
            (
                Media::Matroska,
                [
                    &EBML[..],
                    b"\x83abc",
                    b"\x18\x53\x80\x67",
                    b"\x01\0\0\0\0\0\0\x05media",
                ]
                .concat(),
            ),
        ]
    }

    #[test]
    fn whole_files_are_what_they_are() {
        for (media, file) in examples() {
            assert_eq!(Media::of_whole(&file), Some(media));
            assert_eq!(Media::of_beginning(&file[..16]), Some(media));
        }
    }

    #[test]
    fn no_beginning_of_a_file_is_whole() {
        for (media, file) in examples() {
            for length in 0..file.len() {
                assert_eq!(
                    Media::of_whole(&file[..length]),
                    None,
                    "{media:?}, {length} bytes"
                );
            }
        }
    }

    #[test]
    fn what_goes_on_after_its_end_is_something_else() {
        for (media, file) in examples() {
            let longer = [&file[..], b"#!/bin/sh\n"].concat();
            assert_eq!(Media::of_whole(&longer), None, "{media:?}");
        }
        let (_, jpeg) = &examples()[0];
        assert_eq!(
            Media::of_whole(&[&jpeg[..], &[0; 500]].concat()),
            Some(Media::Jpeg)
        );
    }

    #[test]
    fn a_stream_that_says_no_size_has_no_end() {
        let live = [
            &EBML[..],
            b"\x83abc\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFFmedia",
        ];
        assert_eq!(Media::of_whole(&live.concat()), None);
        assert_eq!(
            Media::of_whole(b"\0\0\0\x0cftypisom\0\0\0\x08moov\0\0\0\0mdatmedia"),
            None
        );
    }

    #[test]
    fn a_png_has_its_sums() {
        // RFC 2083's own end.
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
        let (_, mut png) = examples().swap_remove(1);
        png[17] ^= 1;
        assert_eq!(Media::of_whole(&png), None);
    }

    #[test]
    fn fragments_end_only_with_their_index() {
        let mp4_box = |name: &[u8]| [b"\0\0\0\x0c", name, b"data"].concat();
        let clip = |names: &[&[u8]]| names.iter().flat_map(|name| mp4_box(name)).collect();
        let fragments: [&[u8]; 6] = [b"ftyp", b"moov", b"moof", b"mdat", b"moof", b"mdat"];
        let cut: Vec<u8> = clip(&fragments);
        assert_eq!(Media::of_whole(&cut), None);
        let whole = [cut, mp4_box(b"mfra")].concat();
        assert_eq!(Media::of_whole(&whole), Some(Media::Mp4));
    }

    /// No bytes end it in a panic or without an end.
    #[test]
    fn any_bytes_are_judged() {
        for (_, file) in examples() {
            for at in 0..file.len() {
                for byte in [0, 1, 0x7F, 0x80, 0xFF] {
                    let mut other = file.clone();
                    other[at] = byte;
                    let _ = Media::of_whole(&other);
                }
            }
        }
        assert_eq!(Media::of_whole(b""), None);
        assert_eq!(Media::of_whole(b"<html>"), None);
    }
}
