//! Resolves how the running router is watched.

use std::time::Duration;

use super::limit;
use crate::config::{self, OnDrift, Spanned};
use crate::policy::Watch;
use crate::source::{Refusal, Refused, Source};

/// The interval, in seconds, if the file does not say.
const DEFAULT_INTERVAL: u64 = 60;

/// After how many seconds a camera is silent, if the file does not say.
const DEFAULT_SILENT_AFTER: u64 = 3600;

pub(super) fn watch(
    written: Option<&config::WatchTable>,
    source: &Source,
) -> Result<Watch, Refusal> {
    let mut refused = Refused::default();
    let interval = written.and_then(|watch| watch.interval.as_ref());
    let interval = interval.and_then(|it| refused.note(seconds(it, source)));
    let metrics = written.and_then(|watch| watch.metrics.as_ref());
    let metrics = metrics.and_then(|path| refused.note(file(path, source)));
    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    let silent = written.and_then(|watch| watch.silent_after.as_ref());
    let silent = silent.and_then(|it| refused.note(silent_after(it, interval, source)));
    refused.or(Watch {
        metrics,
        interval: Duration::from_secs(interval),
        silent_after: Duration::from_secs(silent.unwrap_or(DEFAULT_SILENT_AFTER.max(2 * interval))),
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

/// At least two intervals: when a camera was there is known to one of them.
fn silent_after(written: &Spanned<String>, interval: u64, source: &Source) -> Result<u64, Refusal> {
    let text = written.get_ref();
    let seconds = limit::seconds(text).map(u64::from);
    let problem = match seconds {
        Some(seconds) if seconds >= 2 * interval => return Ok(seconds),
        Some(_) => format!(
            "{text:?} is less than two intervals, so that a camera that sends all the time would be silent; write \"{} seconds\" or more, or a shorter interval",
            2 * interval
        ),
        None => format!(
            "{text:?} is not a length of time; write it as \"1 hour\": seconds, minutes, hours or days, 30 days at most"
        ),
    };
    Err(source.refuse(written.span(), problem))
}

/// A file that node_exporter's textfile collector takes: it reads those that end in .prom.
fn file(written: &Spanned<String>, source: &Source) -> Result<String, Refusal> {
    let path = written.get_ref();
    let mut parts = path.split('/').skip(1);
    let is_plain = path.starts_with('/')
        && parts.all(|part| !matches!(part, "" | "." | "..") && !part.contains(char::is_control));
    match is_plain && path.ends_with(".prom") && !path.ends_with("/.prom") {
        true => Ok(path.clone()),
        false => Err(source.refuse(
            written.span(),
            format_args!(
                "{path:?} is not the path of a metrics file; write it from / on, with .prom at its end, such as /run/camfw-metrics/camfw.prom"
            ),
        )),
    }
}
