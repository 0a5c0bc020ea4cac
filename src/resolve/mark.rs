//! Resolves marks and their routing tables.

use crate::config::{self, Config, Spanned};
use crate::net::{MarkRule, WAY_TABLES};
use crate::policy::Ipv6Mode;
use crate::source::{Refusal, Refused, Source};

/// The routing rules for marked packets, for each family that the file does not drop.
pub fn mark_rules(
    config: &Config,
    mode: Ipv6Mode,
    source: &Source,
) -> Result<Vec<MarkRule>, Refusal> {
    let families: &[bool] = match mode {
        Ipv6Mode::Drop => &[false],
        Ipv6Mode::Same => &[false, true],
    };
    let mut rules = Vec::new();
    for (mark, table) in Refused::each(&config.marks, |written| mark_rule(written, source))? {
        rules.extend(families.iter().map(|ipv6| MarkRule {
            mark,
            table,
            ipv6: *ipv6,
        }));
    }
    Ok(rules)
}

fn mark_rule(written: &config::MarkEntry, source: &Source) -> Result<(u32, u32), Refusal> {
    let mark = u32::try_from(*written.fwmark.get_ref())
        .ok()
        .filter(|mark| *mark > 0);
    let mark = mark.ok_or_else(|| {
        source.refuse(
            written.fwmark.span(),
            "a mark is 1 to 4294967295; 0 means no mark",
        )
    })?;
    Ok((mark, table_number(&written.table, source)?))
}

pub(super) fn table_number(written: &Spanned<i64>, source: &Source) -> Result<u32, Refusal> {
    // 253 to 255 are default, main and local (include/uapi/linux/rtnetlink.h).
    u32::try_from(*written.get_ref())
        .ok()
        .filter(|table| *table > 0 && !(253..=255).contains(table) && *table < WAY_TABLES)
        .ok_or_else(|| {
            source.refuse(
                written.span(),
                format_args!(
                    "{} is not a table of your own; use 1 to 252 or 256 to 4294967039",
                    written.get_ref()
                ),
            )
        })
}
