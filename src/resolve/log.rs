//! Resolves the log settings: rate and prefixes.

use super::{Resolver, named};
use crate::config;
use crate::field::{Rate, Unit};
use crate::name::LogPrefix;
use crate::policy::{Log, LogPrefixes, ZonePrefixes};
use crate::source::Refusal;

/// Log lines per LOG rule if the file gives no rate.
const DEFAULT_LOG_RATE: Option<Rate> = Rate::new(10, Unit::Minute);

impl Resolver<'_> {
    pub(super) fn log(&self, written: Option<&config::LogTable>) -> Result<Log, Refusal> {
        let default = config::LogTable::default();
        let written = written.unwrap_or(&default);
        let rate = match (&written.rate, DEFAULT_LOG_RATE) {
            (Some(rate), _) => self.rate(rate)?,
            (None, Some(rate)) => rate,
            (None, None) => unreachable!("10 is within 1 and COUNT_MAX"),
        };
        let (start, span) = match &written.prefix {
            Some(prefix) => (prefix.get_ref().as_str(), prefix.span()),
            None => ("", 0..0),
        };
        let prefix = |what: &str| -> Result<LogPrefix, Refusal> {
            named::<LogPrefix>(&format!("{start}{what}"), span.clone(), self.source)
        };
        Ok(Log {
            rate,
            prefixes: LogPrefixes {
                invalid: prefix("DROP INVALID ")?,
                zones: self
                    .zones
                    .iter()
                    .map(|zone| {
                        Ok(ZonePrefixes {
                            spoofed: prefix(&format!("SPOOFED PKT {} ", zone.name))?,
                            unknown: prefix(&format!("UNKNOWN PKT {} ", zone.name))?,
                            bogon: prefix(&format!("BOGON PKT {} ", zone.name))?,
                        })
                    })
                    .collect::<Result<Vec<_>, _>>()?,
                input: prefix("DROP INPUT ")?,
                forward: prefix("DROP FORWARD ")?,
                output: prefix("DROP OUTPUT ")?,
            },
            dropped: written.dropped,
        })
    }
}
