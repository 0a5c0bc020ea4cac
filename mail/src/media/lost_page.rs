//! What a power cut leaves of a file whose size the disk had, and of whose pages it had not all.

use super::{Media, be16, be32, ebml_size, le32};

/// The least that a file system writes, and so loses, at once.
const PAGE: usize = 4096;

/// Whether a page of a whole file is nothing but zeros where what was uploaded has none: the
/// power went before the disk had that page, and the file's size was written already, as
/// flash file systems and XFS do it. Only a file that was there before the boot can be so,
/// and one that was not may have such a page, as in sound without a sound.
pub fn has_lost_page(media: Media, bytes: &[u8]) -> bool {
    let (from, to) = match media {
        // What a camera notes of a picture has room to spare, and pictures are padded.
        Media::Jpeg => (
            before_scan(bytes),
            bytes.iter().rposition(|byte| *byte != 0),
        ),
        _ => (Some(0), Some(bytes.len())),
    };
    let (from, to) = (from.unwrap_or(0), to.unwrap_or(0));
    let pages = bytes.get(..to).unwrap_or_default().chunks_exact(PAGE);
    let mut lost = pages
        .enumerate()
        .filter(|(number, page)| number * PAGE >= from && page.iter().all(|byte| *byte == 0));
    lost.any(|(number, _)| !is_reserved(media, bytes, number * PAGE))
}

/// Where a picture's own data begins, after its segments.
fn before_scan(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        match *bytes.get(at..at + 2)? {
            [0xFF, 0xDA] => return Some(at),
            [0xFF, 0xFF] => at += 1,
            _ => at += 2 + be16(bytes.get(at + 2..)?)?,
        }
    }
}

/// Whether a page is in room that a clip only keeps: MP4's free and skip, RIFF's JUNK,
/// Matroska's Void. Its head is the last before the page that is no zero.
fn is_reserved(media: Media, bytes: &[u8], place: usize) -> bool {
    let before = bytes.get(..place).unwrap_or_default();
    let Some(last) = before.iter().rposition(|byte| *byte != 0) else {
        return false;
    };
    (last.saturating_sub(11)..=last).any(|at| {
        let head = &bytes[at..];
        let length = match media {
            Media::Mp4 if matches!(head.get(4..8), Some(b"free" | b"skip")) => be32(head),
            Media::Avi | Media::Webp if head.starts_with(b"JUNK") => le32(&head[4..]),
            Media::Matroska if head[0] == 0xEC => ebml_size(&head[1..]).map(|(size, _)| size),
            _ => None,
        };
        length.is_some_and(|length| at.saturating_add(length) >= place + PAGE - 9)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tests::examples;

    #[test]
    fn a_page_that_the_disk_never_had_is_seen() {
        let filled = |head: &[u8], zeros: std::ops::Range<usize>| {
            let mut file = vec![7; 5 * PAGE];
            file[..head.len()].copy_from_slice(head);
            file[zeros].fill(0);
            file
        };
        let (_, jpeg) = examples().swap_remove(0);
        for (media, head) in [
            (Media::Jpeg, &jpeg[..10]),
            (Media::Mp4, b""),
            (Media::Webp, b""),
        ] {
            let lost = |zeros| has_lost_page(media, &filled(head, zeros));
            assert!(!lost(0..0));
            assert!(lost(PAGE..2 * PAGE), "{media:?}");
            assert!(lost(PAGE + 5..3 * PAGE));
            assert!(!lost(PAGE + 1..3 * PAGE - 1));
            // A picture is padded, and nothing else.
            assert_eq!(lost(3 * PAGE..5 * PAGE), media != Media::Jpeg);
        }
        // Room that a clip keeps, up to where it says.
        let (free, junk, void) = (
            b"\0\0\x30\0free",
            b"JUNK\0\x30\0\0",
            b"\xEC\x01\0\0\0\0\0\x30\0",
        );
        for (media, head) in [
            (Media::Mp4, &free[..]),
            (Media::Avi, junk),
            (Media::Matroska, void),
        ] {
            let (at, end) = (PAGE - 20, 4 * PAGE - 20);
            let mut file = filled(b"", at + head.len()..end);
            file[at..at + head.len()].copy_from_slice(head);
            assert!(!has_lost_page(media, &file), "{media:?}");
            file[end..].fill(0);
            assert!(has_lost_page(media, &file), "{media:?}");
        }
        // What a camera notes has room: 0x3000 bytes of it.
        let noted = filled(b"\xFF\xD8\xFF\xE1\x30\0", 10..3 * PAGE);
        let mut whole = noted.clone();
        whole[4 + 0x3000..][..2].copy_from_slice(b"\xFF\xDA");
        assert!(!has_lost_page(Media::Jpeg, &whole));
        assert!(!has_lost_page(Media::Png, b""));
    }
}
