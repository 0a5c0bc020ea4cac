//! `camfw show`: prints what the file compiles to. Each subcommand has its own file.

pub(super) mod dnsmasq;
pub(super) mod httpd;
pub(super) mod kernel;
pub(super) mod mail;
pub(super) mod matrix;
pub(super) mod msmtp;
pub(super) mod network;
pub(super) mod ntp;
pub(super) mod rules;
pub(super) mod services;
pub(super) mod sysctls;
pub(super) mod vsftpd;

pub use kernel::kernel;
pub(super) use matrix::service_named;
pub use network::network;
pub use rules::rules;
pub use sysctls::sysctls;

use super::args::Given;
use super::error::CliError;
use super::print;
use crate::apply;
use crate::exit_code::ExitCode;
use crate::host::config_file::Purpose;
use crate::policy::Policy;
use crate::servers::NothingToServe;

/// Prints the configuration of a server on the router.
fn for_server(
    given: &Given,
    lines: fn(&Policy) -> Result<String, NothingToServe>,
) -> Result<ExitCode, CliError> {
    let config = given.config();
    let plan = apply::read_plan(&config, Purpose::Ask)?;
    let lines = lines(&plan.policy).map_err(|nothing| CliError::NothingToServe {
        file: config.display().to_string(),
        nothing,
    })?;
    Ok(print(&lines))
}
