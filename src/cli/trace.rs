//! `camfw trace`: what becomes of one packet, rule by rule.

use std::path::Path;

use super::args::Options;
use super::dump::{dump, networks};
use super::{REFUSED, complain, print};
use crate::apply;
use crate::host::config_file::Purpose;
use crate::host::text_file;
use crate::prove::Tracer;

/// Prints the packet's way; the exit code.
pub(super) fn run(config: &Path, options: &Options) -> u8 {
    match trace(config, options) {
        Ok(text) => print(&text),
        Err(why) => {
            complain(&why);
            REFUSED
        }
    }
}

fn trace(config: &Path, options: &Options) -> Result<String, String> {
    let tracer = match options.get("rules") {
        Some(path) => {
            let (rules, family) = dump(path)?;
            let behind = options.get("networks").map(networks).transpose()?;
            Tracer::of_rules(rules, family, behind.unwrap_or_default())
        }
        None => {
            let plan =
                apply::read_plan(config, Purpose::Ask).map_err(|refusal| refusal.to_string())?;
            let rules = match options.has("live") {
                true => apply::live_rules().map_err(|error| error.to_string())?,
                false => plan.rules,
            };
            Tracer::of_policy(plan.policy, rules)
        }
    };
    let Some(path) = options.get("packets") else {
        let own: Vec<(String, String)> = options
            .all()
            .iter()
            .filter(|(name, _)| !["live", "rules", "networks"].contains(&name.as_str()))
            .cloned()
            .collect();
        return tracer.path(&own);
    };
    let packets = text_file::read(path)?;
    let lines = packets.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    tracer
        .verdicts(lines)
        .map_err(|error| format!("{path}:{error}"))
}
