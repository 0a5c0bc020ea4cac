//! `camfw show matrix`: who reaches whom.

use std::path::Path;

use super::args::Options;
use super::dump::{dump, networks};
use super::{REFUSED, complain, print};
use crate::apply;
use crate::family::IpFamily;
use crate::host::config_file::Purpose;
use crate::prove::{self, About};

/// Prints it; the exit code.
pub(super) fn run(config: &Path, options: &Options, ipv6: bool, json: bool) -> u8 {
    match matrix(config, options, ipv6, json) {
        Ok(text) => print(&text),
        Err(why) => {
            complain(&why);
            REFUSED
        }
    }
}

fn matrix(config: &Path, options: &Options, ipv6: bool, json: bool) -> Result<String, String> {
    let number = |name: &str| -> Result<Option<u16>, String> {
        let Some(text) = options.get(name) else {
            return Ok(None);
        };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| format!("--{name} {text}: is no number up to 65535"))
    };
    let protocol = match options.get("proto") {
        None if options.has("dport") => Some(6),
        None => None,
        Some(name) => Some(prove::protocol(name).ok_or_else(|| {
            format!("--proto {name}: is no protocol; use tcp, udp, icmp or a number")
        })?),
    };
    let about = About {
        protocol,
        port: number("dport")?,
    };
    let (rules, family, behind) = match options.get("rules") {
        Some(path) => {
            let (rules, family) = dump(path)?;
            let from = options
                .get("networks")
                .ok_or("--rules needs --networks FILE")?;
            (rules, family, networks(from)?)
        }
        None => {
            let plan =
                apply::read_plan(config, Purpose::Ask).map_err(|refusal| refusal.to_string())?;
            let behind = prove::behind(&plan.policy);
            let mut rules = match options.has("live") {
                true => apply::live_rules().map_err(|error| error.to_string())?,
                false => plan.rules,
            };
            let family = match ipv6 {
                true => IpFamily::V6,
                false => IpFamily::V4,
            };
            (std::mem::take(rules.get_mut(family)), family, behind)
        }
    };
    let matrix = prove::matrix(&rules, family, &behind, about)
        .ok_or("the matrix cannot be made: it takes too much memory")?;
    Ok(if json {
        matrix.json()
    } else if options.has("svg") {
        matrix.svg()
    } else {
        matrix.text()
    })
}
