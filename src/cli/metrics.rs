//! `camfw metrics`: prints what is measured, for Prometheus.

use super::{CliError, Command, ExitCode, Given, print};
use crate::apply;

pub(super) const COMMAND: Command = Command::new(
    "metrics",
    "the same as numbers, for Prometheus: OpenMetrics on standard output",
    run,
)
.about(
    "State, drift, policy, what each allow line let through, cameras, reasons, links,
leases, connections. With [watch] metrics = FILE `camfw watch` writes them for
node_exporter's textfile collector. The exit code is that of `camfw status`.",
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let (text, report) = apply::metrics(&given.config())?;
    print(&text);
    Ok(report.exit_code())
}
