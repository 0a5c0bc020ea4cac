//! Resolves a zone's limit on the connections that it may open, with the defaults.

use super::limit::connections;
use crate::config;
use crate::config::Spanned;
use crate::field::Rate;
use crate::policy::{Bound, Role};
use crate::source::{Refusal, Source};

const CONNECTIONS: u32 = 256;
const RATE: Rate = Rate::a_second(20);
const ZONE_CONNECTIONS: u32 = 4096;
const ZONE_RATE: Rate = Rate::a_second(125);

/// The burst of new connections per address: a page full of pictures.
const BURST: u64 = 100;

/// The burst of the whole zone: cameras that all start after a power failure.
const ZONE_BURST: u64 = 1000;

/// The bound that the file gives a zone, or that its role brings.
pub(super) fn bound(
    written: &config::ZoneTable,
    source: &Source,
) -> Result<Option<Bound>, Refusal> {
    let none = config::BoundTable::default();
    let table = match written.bound.as_ref().map(Spanned::get_ref) {
        None if written.role != Role::Camera => return Ok(None),
        Some(config::BoundValue::Switch(false)) => return Ok(None),
        None | Some(config::BoundValue::Switch(true)) => &none,
        Some(config::BoundValue::Table(table)) => table,
    };
    let count = |written: &Option<Spanned<i64>>, usual| match written {
        Some(written) => connections(written, source),
        None => Ok(usual),
    };
    let rate = |written: &Option<Spanned<String>>, usual: Rate, burst| match written {
        Some(written) => a_second(written, source).map(|rate| rate.with_burst(burst)),
        None => Ok(usual.with_burst(burst)),
    };
    Ok(Some(Bound {
        connections: count(&table.connections, CONNECTIONS)?,
        rate: rate(&table.limit, RATE, BURST)?,
        zone_connections: count(&table.zone_connections, ZONE_CONNECTIONS)?,
        zone_rate: rate(&table.zone_limit, ZONE_RATE, ZONE_BURST)?,
    }))
}

/// Requires a rate per second. The bound limits how many connections there are at a time; a
/// rate per minute or day would allow all of them at once.
fn a_second(written: &Spanned<String>, source: &Source) -> Result<Rate, Refusal> {
    let rate = Rate::parse(written.get_ref());
    rate.filter(|rate| rate.per_second().is_some())
        .ok_or_else(|| {
            source.refuse(
                written.span(),
                format_args!(
                    "{:?} is not a rate of new connections; write it as \"20/second\": 1 to {} a second",
                    written.get_ref(),
                    Rate::COUNT_MAX
                ),
            )
        })
}
