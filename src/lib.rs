//! camfw stands between untrusted cameras and everything else.
//!
//! ```text
//! camfw.toml --parse--> Config --resolve--> Policy --compile--> Plan { rules v4, rules v6, network, sysctls }
//!                       as written          checked             finished values
//! Plan --> show
//!      --> prove   is it what the policy says, and nothing else?
//!      --> apply   host/* --> read the kernel back --> compare
//! ```
//!
//! One rule: only [`host`] touches the world. It takes finished values and
//! decides nothing. All else is pure, and is tested without privileges.

pub(crate) mod apply;
pub mod cli;
pub mod compile;
pub mod config;
pub mod error;
pub mod exit_code;
pub mod family;
pub mod field;
pub mod host;
pub mod name;
pub mod net;
pub mod netfilter;
pub mod observe;
pub mod plan;
pub mod policy;
pub mod prove;
mod registry;
pub mod resolve;
pub mod resolved_hosts;
pub mod servers;
pub mod snapshot;
pub mod source;

use config::Config;
use field::PortSet;
use plan::Plan;
use policy::{Answers, Policy};
use resolved_hosts::ResolvedHosts;
use source::{Refusal, Source};

/// A configuration's text, and what the names in it resolved to -> the plan.
///
/// # Errors
/// The one line that refuses the file.
pub fn plan(source: &Source, answers: &Answers) -> Result<Plan, Refusal> {
    let policy = policy(source, answers)?;
    Ok(Plan::new(policy, source.name()))
}

/// A configuration's text, what the names in it resolved to, now and before, and the
/// UDP ports that the router has offered -> the plan, and where open connections go
/// on that may no longer be opened, the plan that they are judged by.
///
/// # Errors
/// The one line that refuses the file.
pub fn plan_with_past(
    source: &Source,
    hosts: &ResolvedHosts,
    udp_once_offered: &PortSet,
) -> Result<Plan, Refusal> {
    let plan = |answers: &Answers| {
        let mut policy = policy(source, answers)?;
        policy.udp_once_offered.clone_from(udp_once_offered);
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

/// A configuration's text, and what the names in it resolved to -> the policy.
///
/// # Errors
/// The one line that refuses the file.
pub fn policy(source: &Source, answers: &Answers) -> Result<Policy, Refusal> {
    resolve::resolve(&Config::parse(source)?, answers, source)
}
