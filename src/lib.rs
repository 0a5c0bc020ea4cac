//! camfw is a firewall between untrusted cameras and all other networks.
//!
//! ```text
//! camfw.toml --parse--> Config --resolve--> Policy --compile--> Plan { rules v4, rules v6, network, sysctls }
//!                       as written          checked             finished values
//! Plan --> show
//!      --> prove   is it what the policy says, and nothing else?
//!      --> apply   host/* --> read the kernel back --> compare
//! ```
//!
//! One rule: only [`host`] has side effects. It takes finished values and makes no
//! decisions. Everything else is pure and is tested without privileges.

mod apply;
pub mod cli;
mod compile;
pub mod config;
mod error;
pub mod exit_code;
pub mod family;
pub mod field;
pub mod host;
mod json;
pub mod local_time;
mod look_alike;
mod markup;
pub mod name;
mod nearest;
mod net;
pub mod netfilter;
mod observe;
pub mod page;
pub mod plan;
pub mod policy;
pub mod prove;
mod registry;
mod resolve;
pub mod resolved_hosts;
mod servers;
mod snapshot;
pub mod source;
mod zone_data;

use config::Config;
use field::PortSet;
use local_time::{LocalTime, LocalTimes};
use plan::Plan;
use policy::{Answers, Policy};
use resolved_hosts::ResolvedHosts;
use source::{Refusal, Source};

/// Builds the plan of a configuration, given the addresses that its host names resolved
/// to.
///
/// # Errors
/// Returns the first refusal, with its position in the file.
pub fn plan(source: &Source, answers: &Answers) -> Result<Plan, Refusal> {
    plan_at(source, answers, &without_zones)
}

/// The same, given the local times of zones.
///
/// # Errors
/// Returns the first refusal, with its position in the file.
pub fn plan_at(source: &Source, answers: &Answers, times: LocalTimes<'_>) -> Result<Plan, Refusal> {
    let mut policy = resolve::resolve(&Config::parse(source)?, answers, times, source)?;
    policy.mail = Ok(policy.mail?);
    Ok(Plan::new(policy, source.name()))
}

/// Builds the plan of a configuration whose host names may have former addresses.
/// `hosts` has current and former addresses; `udp_once_offered` are the UDP ports that
/// the router has offered since the kernel started; `can_record` is whether the kernel can
/// pass refused packets to a program; `times` has the local times of zones.
///
/// If open connections may continue to addresses that no longer accept new ones, the
/// plan carries a second plan, [`Plan::of_open_connections`], which decides about open
/// connections.
///
/// # Errors
/// Returns the first refusal, with its position in the file.
pub fn plan_with_past(
    source: &Source,
    hosts: &ResolvedHosts,
    udp_once_offered: &PortSet,
    can_record: bool,
    times: LocalTimes<'_>,
) -> Result<Plan, Refusal> {
    let plan = |answers: &Answers| {
        let mut policy = resolve::resolve(&Config::parse(source)?, answers, times, source)?;
        policy.udp_once_offered.clone_from(udp_once_offered);
        policy.can_record = can_record;
        Ok(Plan::new(policy, source.name()))
    };
    let mut wanted = plan(&hosts.for_new_connections())?;
    let mut names = wanted.policy.hosts.iter();
    if names.any(|name| hosts.has_ended(name)) {
        let open = plan(&hosts.for_open_connections())?;
        wanted.of_open_connections = Some(Box::new(open));
    }
    Ok(wanted)
}

/// Builds the policy of a configuration, given the addresses that its host names
/// resolved to. A refusal of `[mail]` alone is in the policy.
///
/// # Errors
/// Returns the first refusal, with its position in the file.
pub fn policy(source: &Source, answers: &Answers) -> Result<Policy, Refusal> {
    resolve::resolve(&Config::parse(source)?, answers, &without_zones, source)
}

/// No time zones are known here but UTC.
fn without_zones(name: &str) -> Result<LocalTime, String> {
    if name == local_time::UTC {
        return Ok(LocalTime::utc(local_time::BUILT));
    }
    Err(format!(
        "the data of time zone {name:?} are not given; leave timezone out"
    ))
}
