//! Resolves how the running router is watched.

use std::time::Duration;

use crate::config::{self, OnDrift, Spanned};
use crate::policy::Watch;
use crate::source::{Refusal, Source};

/// The interval, in seconds, if the file does not say.
const DEFAULT_INTERVAL: u64 = 60;

pub(super) fn watch(
    written: Option<&config::WatchTable>,
    source: &Source,
) -> Result<Watch, Refusal> {
    let interval = match written.and_then(|watch| watch.interval.as_ref()) {
        None => DEFAULT_INTERVAL,
        Some(interval) => seconds(interval, source)?,
    };
    Ok(Watch {
        interval: Duration::from_secs(interval),
        restore: written.is_some_and(|watch| watch.on_drift == OnDrift::Restore),
    })
}

fn seconds(written: &Spanned<i64>, source: &Source) -> Result<u64, Refusal> {
    match u64::try_from(*written.get_ref()) {
        Ok(seconds @ 1..=86_400) => Ok(seconds),
        _ => Err(source.refuse(
            written.span(),
            format_args!(
                "{} is not an interval; use 1 to 86400 seconds",
                written.get_ref()
            ),
        )),
    }
}
