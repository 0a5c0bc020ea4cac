//! `camfw prove`: is it what the file says, and nothing else?

use std::path::Path;

use super::args::Options;
use super::{FAILED, REFUSED, complain, print};
use crate::apply;
use crate::prove::{self, Claim};

/// Prints each claim and whether it holds; the exit code.
pub(super) fn run(config: &Path, options: &Options) -> u8 {
    match claims(config, options.has("live")) {
        Ok(claims) => report(&claims),
        Err(why) => {
            complain(&why);
            REFUSED
        }
    }
}

fn claims(config: &Path, live: bool) -> Result<Vec<Claim>, String> {
    let plan = apply::read_plan(config).map_err(|refusal| refusal.to_string())?;
    let [ipv4, ipv6] = match live {
        true => apply::live_rules()?,
        false => [plan.ipv4, plan.ipv6],
    };
    Ok(prove::claims(&plan.policy, &ipv4, &ipv6))
}

fn report(claims: &[Claim]) -> u8 {
    let lines: Vec<String> = claims.iter().map(|claim| format!("{claim}\n")).collect();
    print(&lines.concat());
    match claims.iter().all(|claim| claim.answer.holds()) {
        true => 0,
        false => FAILED,
    }
}
