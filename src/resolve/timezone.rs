//! Resolves the zone in whose local time hours are written.

use crate::config::Spanned;
use crate::local_time::{LocalTime, LocalTimes, UTC};
use crate::source::{Refusal, Source};

/// The longest name; those that there are have half of it.
const LONGEST: usize = 64;

/// The time of the zone that the file names, or UTC.
pub(super) fn local_time(
    written: Option<&Spanned<String>>,
    known: LocalTimes<'_>,
    source: &Source,
) -> Result<LocalTime, Refusal> {
    let Some(written) = written else {
        return known(UTC).map_err(|error| source.refuse(0..0, error));
    };
    let name = written.get_ref();
    if !is_name(name) {
        let what = format!("{name:?} is not a time zone's name; write it as \"Europe/Berlin\"");
        return Err(source.refuse(written.span(), what));
    }
    known(name).map_err(|error| source.refuse(written.span(), error))
}

/// Whether it is one as the zone database has them, none of which leads out of its folder.
fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+-".contains(&b);
    let mut parts = name.split('/');
    name.len() <= LONGEST && parts.all(|part| !part.is_empty() && part.bytes().all(plain))
}
