//! The commands that change the box or compare it with a policy.
//!
//! `state` has the states and all transitions between them, and `record` stores
//! them; `enforce` has the ordered steps; `recover` decides what happens when one
//! fails; `close` closes the box. Each command has a file of its own.

mod apply_file;
pub(crate) mod blocked;
mod boot;
mod bypass;
mod close;
mod closed;
mod confirm;
mod dry_run;
mod enforce;
mod error;
mod exclusive;
mod hosts;
mod kernel_support;
mod last_good;
mod lease;
mod local_time;
mod machine;
pub(crate) mod mail;
mod metrics;
mod name_servers;
mod names;
mod needs;
mod network_programs;
mod once_offered;
mod open;
mod other_tables;
mod outcome;
mod planned;
mod record;
mod recorder;
mod recover;
mod refresh;
mod removed_rules;
mod report;
mod revoke;
mod seal;
mod seal_mark;
mod shown_page;
mod sighted;
mod state;
mod state_json;
mod status;
mod unrecordable;
mod waiter;
mod watch;
mod ways;

pub(crate) use apply_file::apply;
pub(crate) use boot::boot;
pub(crate) use confirm::{confirm, overdue};
pub(crate) use dry_run::dry_run;
pub(crate) use error::StepError;
pub(crate) use hosts::hosts;
pub(crate) use last_good::cannot_keep;
pub(crate) use lease::take_lease;
pub(crate) use machine::live_rules;
pub(crate) use metrics::metrics;
pub(crate) use names::NameReport;
pub(crate) use network_programs::network_program_errors;
pub(crate) use open::open;
pub(crate) use other_tables::beside_live_rules;
pub(crate) use outcome::Ending;
pub(crate) use planned::{plan_of_text, read_plan};
pub(crate) use record::not_in_force;
pub(crate) use refresh::refresh;
pub(crate) use report::report;
pub(crate) use seal::seal;
pub(crate) use status::{MOST_DIFFERENCES, Report, status};
pub(crate) use waiter::{Waiter, await_confirmation};
pub(crate) use watch::watch;
