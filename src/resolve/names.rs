//! Resolves how host names are used.

use std::time::Duration;

use super::limit::seconds;
use crate::config;
use crate::source::{Refusal, Source};

/// How long connections may be opened to an address after a name last resolved to it, if
/// the file does not say: programs commonly keep a DNS answer for that long.
const DEFAULT_KEEP: Duration = Duration::from_secs(3600);

pub(super) fn keep(
    written: Option<&config::NamesTable>,
    source: &Source,
) -> Result<Duration, Refusal> {
    let Some(keep) = written.and_then(|names| names.keep.as_ref()) else {
        return Ok(DEFAULT_KEEP);
    };
    let seconds = seconds(keep.get_ref()).ok_or_else(|| {
        source.refuse(
            keep.span(),
            format_args!(
                "{:?} is not a length of time; write it as \"1 hour\": seconds, minutes, hours or days, 30 days at most",
                keep.get_ref()
            ),
        )
    })?;
    Ok(Duration::from_secs(seconds.into()))
}
