//! The kernel's tables, accessed through iptables.
//!
//! Each family has one handle, [`IPTables`] of the iptables crate. The crate runs one
//! process per rule, so an extension trait adds iptables-restore, which loads a whole
//! table atomically, and iptables-save, which reads all tables. If the image has
//! neither, the crate's own calls produce and read the same tables.

mod dormant;
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
pub use listed::listed;
pub use load::{Load, load};
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
    /// iptables-restore rejected a line.
    #[error("{}; the line is {line:?}", with_causes(.error))]
    Line {
        /// The program's error.
        error: ProcessError,
        /// The rejected line.
        line: String,
    },
    /// A call of the iptables crate failed.
    #[error("{program}, table {table}: {message}")]
    Call {
        /// The program.
        program: &'static str,
        /// The table.
        table: &'static str,
        /// The error message.
        message: String,
    },
    /// A dump could not be parsed.
    #[error("cannot read what {program} prints")]
    Dump {
        /// The program that printed it.
        program: &'static str,
        /// The parse error.
        #[source]
        error: ParseError,
    },
}

/// The exit code of iptables if another program was in its way: the lock, or a change
/// between its read and its write (RESOURCE_PROBLEM in iptables/xshared.h).
const IN_THE_WAY: i32 = 4;

impl TablesError {
    /// Whether a retry may succeed.
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
    /// Creates the handle of a family.
    ///
    /// # Errors
    /// Returns an error if iptables is not in PATH.
    pub fn new(family: IpFamily) -> Result<Tables, TablesError> {
        let path = |program: String| Some(process::find(&program)?.to_str()?.to_owned());
        let program = program(family);
        let command = path(program.into()).ok_or(TablesError::Missing(program))?;
        Ok(Tables {
            family,
            // Not `iptables::new`, which runs `iptables --version` to find out about
            // --check (1.4.11, 2011) and --wait (1.4.20, 2013): one process per family
            // at every start.
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

    /// The family.
    pub fn family(&self) -> IpFamily {
        self.family
    }

    /// Lets iptables-restore test these rules without loading them: it checks each
    /// table and extension with the kernel. Does nothing if the image has no
    /// iptables-restore.
    ///
    /// # Errors
    /// Returns an error if it rejects them.
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
                dormant::wake(self, restore, tables)?;
                let wanted = restore_text_counted(ruleset, tables, &load.counters);
                let mut text = in_place(wanted, &load.gone);
                if let Some(hold) = &load.hold {
                    let hold = restore_text(hold, &[TableName::Filter]);
                    text.insert_str(0, &in_place(hold, &BTreeSet::new()));
                }
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

/// An alternative lock file for legacy iptables: early in a boot /run may still be
/// read-only, in which case no other program has the usual lock either. Without any
/// lock file iptables refuses to work.
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
