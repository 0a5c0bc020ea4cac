//! The kernel's tables, through iptables.
//!
//! Everything goes through one handle per family, [`IPTables`] of the iptables
//! crate. That crate runs one process per rule, so an extension trait adds
//! iptables-restore, which loads a table as a whole and atomically, and
//! iptables-save, which reads all of them. Where the image has neither, the
//! crate's own calls leave and read the same tables.

mod listed;
mod load;
mod read;
mod whole_tables;

use std::collections::BTreeSet;

use iptables::IPTables;
use nix::unistd::{AccessFlags, access};
use thiserror::Error;

use super::process::{self, ProcessError};
use crate::error::with_causes;
use crate::family::IpFamily;
use crate::netfilter::{ParseError, Ruleset, TableName, restore_text, restore_text_counted};
pub use listed::{Listed, listed};
pub use load::{Load, Pace, load};
use load::{Loading, in_place, limit};
use read::PendingRead;
pub use read::{TableSnapshot, start_read};
use whole_tables::WholeTables;

fn program(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "iptables",
        IpFamily::V6 => "ip6tables",
    }
}

/// Why the tables could not be loaded or read.
#[derive(Debug, Error)]
pub enum TablesError {
    /// The program is not in the image.
    #[error("{0} is not in PATH; install iptables")]
    Missing(&'static str),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// iptables-restore did not take a line.
    #[error("{}; the line is {line:?}", with_causes(.error))]
    Line {
        /// What it said.
        error: ProcessError,
        /// The line it named.
        line: String,
    },
    /// A call of the crate failed.
    #[error("{program}, table {table}: {message}")]
    Call {
        /// Which program.
        program: &'static str,
        /// In which table.
        table: &'static str,
        /// What it said.
        message: String,
    },
    /// The dump could not be read.
    #[error("cannot read what {program} prints")]
    Dump {
        /// Which program.
        program: &'static str,
        /// What is wrong in it.
        #[source]
        error: ParseError,
    },
}

/// What iptables exits with where somebody else was in its way: the lock, or a
/// change between what it read and what it wrote (RESOURCE_PROBLEM in
/// iptables/xshared.h).
const IN_THE_WAY: i32 = 4;

impl TablesError {
    /// Whether the same may succeed when it is tried again.
    pub fn may_pass(&self) -> bool {
        let error = match self {
            TablesError::Process(error) | TablesError::Line { error, .. } => error,
            _ => return false,
        };
        matches!(error, ProcessError::Failed { status, .. } if status.code() == Some(IN_THE_WAY))
    }
}

/// The tables of one family.
pub struct Tables {
    family: IpFamily,
    handle: IPTables,
    restore: Option<String>,
    save: Option<String>,
}

impl Tables {
    /// The handle of a family.
    ///
    /// # Errors
    /// iptables is not in PATH.
    pub fn new(family: IpFamily) -> Result<Tables, TablesError> {
        let path = |program: String| Some(process::find(&program)?.to_str()?.to_owned());
        let program = program(family);
        let command = path(program.into()).ok_or(TablesError::Missing(program))?;
        Ok(Tables {
            family,
            // Made here and not by `iptables::new`, which runs `iptables
            // --version` to see whether there is --check (1.4.11, 2011) and
            // --wait (1.4.20, 2013): a process per family and start.
            handle: IPTables {
                cmd: Box::leak(command.into_boxed_str()),
                has_check: true,
                has_wait: true,
                is_numeric: false,
            },
            restore: path(format!("{program}-restore")),
            save: path(format!("{program}-save")),
        })
    }

    /// The path of iptables.
    pub fn program(&self) -> &'static str {
        self.handle.cmd
    }

    /// Which family.
    pub fn family(&self) -> IpFamily {
        self.family
    }

    /// Lets iptables-restore go through these rules, for which it asks the
    /// kernel for each table and extension, and load nothing. Where the image has
    /// no iptables-restore nothing is asked.
    ///
    /// # Errors
    /// It does not take them.
    pub fn try_out(&self, ruleset: &Ruleset) -> Result<(), TablesError> {
        let Some(restore) = &self.restore else {
            return Ok(());
        };
        let names: Vec<TableName> = ruleset.tables().map(|(name, _)| name).collect();
        let text = restore_text(ruleset, &names);
        process::start(restore, &["--wait", "--test"], Some(&text), lock_file())?
            .finish(limit(&text))?;
        Ok(())
    }

    fn start_read(&self) -> Result<PendingRead<'_>, TablesError> {
        Ok(match &self.save {
            Some(save) => PendingRead::Save(
                self,
                process::start(save, &["--counters"], None, lock_file())?,
            ),
            None => PendingRead::List(self),
        })
    }

    fn start_load(&self, load: &Load<'_>) -> Result<Loading, TablesError> {
        let (ruleset, tables) = (load.ruleset, load.names.as_slice());
        match &self.restore {
            Some(restore) => {
                let mut text = String::new();
                if let Some(hold) = &load.hold {
                    text += &in_place(&restore_text(hold, &[TableName::Filter]), &BTreeSet::new());
                }
                let wanted = restore_text_counted(ruleset, tables, &load.counters);
                text += &in_place(&wanted, &load.gone);
                let running = self.handle.start_restore(restore, &text)?;
                Ok(Loading::Restore(running, text))
            }
            None => {
                let limit = limit(&restore_text(ruleset, tables));
                process::within(limit, || self.handle.append_all(ruleset, tables))?;
                Ok(Loading::Done)
            }
        }
    }
}

/// Where the legacy iptables can keep its lock if not at its usual place: early
/// in a boot /run may be read-only still, and then nobody else has that lock
/// either. Without one it does nothing at all.
fn lock_file() -> Option<(&'static str, &'static str)> {
    let writable = |folder: &str| access(folder, AccessFlags::W_OK).is_ok();
    if writable("/run") {
        return None;
    }
    let places = [
        ("/dev/shm", "/dev/shm/xtables.lock"),
        ("/tmp", "/tmp/xtables.lock"),
        ("/dev", "/dev/xtables.lock"),
    ];
    let place = places.into_iter().find(|(folder, _)| writable(folder));
    place.map(|(_, lock)| ("XTABLES_LOCKFILE", lock))
}
