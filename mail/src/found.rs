//! What a look at the upload folders finds, and the words for it.

use std::collections::BTreeSet;

use crate::host::upload::{Stamp, UploadEntry};

/// What a file is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadVerdict {
    /// Not looked at yet, or not settled.
    Arriving,
    /// A whole picture or clip.
    Whole,
    /// A picture or clip that is too large for a mail.
    TooLarge,
    /// Nothing that is sent.
    NotWhole,
    /// The server took it, and it could not be put away: it is not sent again for that.
    Taken,
}

/// What is known of a file.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) stamp: Stamp,
    /// Since when it is as it is, in seconds since the kernel started.
    pub(crate) since: f64,
    pub(crate) verdict: UploadVerdict,
    pub(crate) failures: u32,
    /// Whether a mail told of it although it is not sent.
    pub(crate) is_told: bool,
}

/// A file in an upload folder.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) camera: String,
    pub(crate) entry: UploadEntry,
}

/// What a look at the folders found.
#[derive(Debug, Default)]
pub(crate) struct FoldersLook {
    pub(crate) waiting: Vec<Found>,
    pub(crate) not_whole: Vec<Found>,
    /// The cameras whose uploads are refused.
    pub(crate) closed: BTreeSet<String>,
    pub(crate) problems: Vec<String>,
    /// Whether uploads have no room on the disk, whatever their quota.
    pub(crate) is_disk_full: bool,
}

pub(crate) fn files(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

pub(crate) fn of(camera: &str) -> String {
    match camera {
        "" => String::new(),
        camera => format!(" of {camera}"),
    }
}

pub(crate) fn refuses(camera: &str) -> String {
    format!(
        "REFUSES uploads{}: the quota is full of files that wait",
        of(camera)
    )
}
