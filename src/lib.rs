//! camfw stands between untrusted cameras and everything else.
//!
//! ```text
//! camfw.toml --parse--> Config --resolve--> Policy --compile--> Plan { rules v4, rules v6, network, sysctls }
//!                       as written          checked             finished values
//! Plan --> show
//!      --> apply   host/* --> read the kernel back --> compare
//! ```
//!
//! One rule: only [`host`] touches the world. It takes finished values and
//! decides nothing. All else is pure, and is tested without privileges.

pub mod accounting;
pub mod apply;
pub mod cli;
pub mod compile;
pub mod config;
pub mod field;
pub mod host;
pub mod kept;
pub mod kernel;
pub mod name;
pub mod network;
pub mod plan;
pub mod policy;
pub mod ruleset;
pub mod source;
pub mod sysctl;

use config::Config;
use plan::Plan;
use source::{Refusal, Source};

/// A configuration's text -> the plan.
///
/// # Errors
/// The one line that refuses the file.
pub fn plan(source: &Source) -> Result<Plan, Refusal> {
    let config = Config::parse(source)?;
    let policy = policy::resolve(&config, source)?;
    Ok(Plan::new(&policy, &source.name))
}
