//! Errors of steps and commands, with their causes.

use std::io;

use thiserror::Error;

use super::last_good::NoLastGood;
use super::record::RecordError;
use crate::error::with_causes;
use crate::family::IpFamily;
use crate::host::iptables::{TableSnapshot, TablesError};
use crate::host::netlink::NetlinkError;
use crate::host::process::ProcessError;
use crate::host::store::StoreError;
use crate::host::sysctl::SettingError;
use crate::net::{self, NetworkError};
use crate::netfilter::Difference;
use crate::policy::Origin;
use crate::source::Refusal;

/// Why a step failed.
#[derive(Debug, Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error("{family}: the kernel does not hold what was loaded: {difference}")]
    NotHeld {
        family: IpFamily,
        difference: Difference,
    },
    #[error("{0}: it was set, and the kernel does not show it")]
    ChangeNotHeld(Box<net::NetworkChange>),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Network(Vec<NetworkError>),
    #[error(
        "[ipv6] mode = \"same\" cannot be carried out: there is no ip6tables, or the kernel has no IPv6; add it to the image or set mode = \"drop\""
    )]
    NoIpv6,
    #[error(
        "the kernel lacks what the file needs: {0}; build it with these, or install their modules"
    )]
    NoKernelSupport(String),
    #[error(
        "{origin}: port needs locked bridge ports, which Linux has since 5.16, and this is {release}; install a newer kernel, or remove port from the cameras"
    )]
    NoLockedPorts { origin: Origin, release: String },
    #[error("{}; the interfaces here are {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), .there.join(", "))]
    NotThere {
        problems: Vec<NetworkError>,
        /// The interfaces that exist.
        there: Vec<String>,
    },
    #[error(
        "other programs have rules here, which camfw would take away ({}); apply with --replace, or stop those programs",
        .0.join("; ")
    )]
    OthersRules(Vec<String>),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    OtherPrograms(Vec<net::OtherProgram>),
    #[error(
        "interface {0} takes its address by DHCP, and there is no client; install udhcpc (Debian has it in the package udhcpc) or dhcpcd, give the address in the file, or write address = \"given\" where another program such as systemd-networkd brings it"
    )]
    NoDhcpClient(String),
    #[error("{0}")]
    NotProven(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Bypassed(Vec<net::Bypass>),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl StepError {
    /// Whether the file requires something that this box lacks, detected before
    /// anything was changed.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            StepError::NoIpv6
                | StepError::NoKernelSupport(_)
                | StepError::NoLockedPorts { .. }
                | StepError::NotThere { .. }
                | StepError::OthersRules(_)
                | StepError::OtherPrograms(_)
                | StepError::NoDhcpClient(_)
                | StepError::Bypassed(_)
                | StepError::Tables(TablesError::Missing(_))
        )
    }
}

/// The point at which enforcing a plan failed, which determines how to recover.
pub(super) enum Failure {
    /// Nothing was changed.
    Nothing(StepError),
    /// The rules are not the policy's.
    Rules(StepError, Box<StateBefore>),
    /// The rules are the policy's, but the network is not.
    Network(StepError),
    /// The box was sealed while the command was running.
    Sealed,
}

/// What to go back to if the rules cannot be loaded.
pub(super) struct StateBefore {
    pub(super) tables: Vec<TableSnapshot>,
    /// The links that were set down since.
    pub(super) shut: Vec<String>,
}

/// Closing the box failed, in part or completely.
#[derive(Debug, Error)]
#[error("{}", .problems.iter().map(|error| with_causes(error)).collect::<Vec<_>>().join("; "))]
pub(crate) struct CloseError {
    pub(super) problems: Vec<StepError>,
}

impl From<StepError> for CloseError {
    fn from(problem: StepError) -> CloseError {
        CloseError {
            problems: vec![problem],
        }
    }
}

/// Why a command ended as it did.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("this needs root; nothing was changed")]
    NoRoot,
    #[error("{0}; nothing was changed")]
    Locked(#[source] io::Error),
    #[error(transparent)]
    Busy(io::Error),
    #[error(transparent)]
    File(#[from] Refusal),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Close(#[from] CloseError),
    /// Two causes of equal rank, so neither is the error's source.
    #[error("{}; {close}", with_causes(step))]
    StepAndClose {
        step: Box<CommandError>,
        close: CloseError,
    },
    #[error("{}; nothing was changed", with_causes(.0))]
    NothingChanged(StepError),
    #[error("another command is under way and would not see that the box was sealed")]
    Unseen(#[source] StoreError),
    #[error("the box was sealed meanwhile; camfw apply opens it again")]
    SealedMeanwhile,
    #[error("cannot take the firewall off")]
    Open(#[source] StepError),
    #[error("the file was applied and never confirmed")]
    NeverConfirmed,
    #[error("cannot tell whether the file was ever confirmed")]
    CannotTell(#[source] StoreError),
    /// Neither of two policies could be put in force.
    #[error("{}; {}", with_causes(first), with_causes(then))]
    Neither {
        first: Box<CommandError>,
        then: Box<CommandError>,
    },
    #[error("{0}")]
    Instead(String),
    // Without rules the box would be open: nobody's silence may lead there.
    #[error(
        "nothing was changed, since there is no policy to go back to yet; the first time, at the console, run camfw apply without --confirm"
    )]
    NothingToGoBackTo(#[source] NoLastGood),
    #[error(
        "nothing was changed, since this could not be taken back: {}; at the console, run camfw apply without --confirm",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    CannotTakeBack(Vec<net::NetworkChange>),
    #[error("nothing was changed, since what is to be confirmed cannot be kept")]
    CannotKeepTrial(#[source] StoreError),
    #[error("nothing was changed, since the deadline cannot be kept")]
    CannotKeepDeadline(#[source] RecordError),
    #[error("nothing was changed, since those who would take it back cannot be started")]
    NoWaiter(#[source] io::Error),
    #[error("the waiter was given no policy to go back to")]
    NoPolicyGiven,
    #[error("{why}; there is no policy to go back to")]
    CannotGoBack {
        why: String,
        #[source]
        none: NoLastGood,
    },
    #[error("camfw watch runs already; end that one first")]
    WatchRuns,
    #[error("cannot become a process of its own")]
    Detach(#[source] io::Error),
    #[error("there is nothing to confirm")]
    NothingToConfirm,
    #[error("no policy is in force; the answers are kept for the next apply")]
    NothingToRefresh,
    #[error("{}", .0.join("; "))]
    Names(Vec<String>),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Lease(#[from] net::LeaseError),
    #[error("the policy has no zone by DHCP on interface {0}; stop the client there")]
    NoZoneByDhcp(String),
}
