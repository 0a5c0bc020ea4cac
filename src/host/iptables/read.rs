//! The tables as the kernel holds them: one iptables-save a family, side by side.

use super::super::process::{self, Running};
use super::whole_tables::WholeTables;
use super::{Tables, TablesError};
use crate::netfilter::{Counters, Ruleset, agrees, parse};

/// What the kernel holds of one family.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// The tables.
    pub rules: Ruleset,
    /// What they have counted; nothing where the image has no iptables-save.
    pub counters: Counters,
}

pub(super) enum PendingRead<'a> {
    Save(&'a Tables, Running),
    List(&'a Tables),
}

impl PendingRead<'_> {
    fn finish(self) -> Result<RawDump, TablesError> {
        let (tables, text) = match self {
            PendingRead::Save(tables, running) => (tables, running.finish(process::SHORT)?),
            PendingRead::List(tables) => {
                let list = || tables.handle.list_all();
                (tables, process::within(process::SHORT, list)?)
            }
        };
        Ok(RawDump {
            program: tables.handle.cmd,
            text,
        })
    }
}

/// What the kernel holds of one family, as text.
#[derive(Debug)]
pub struct RawDump {
    program: &'static str,
    text: String,
}

impl RawDump {
    /// Whether it says just what a ruleset says.
    pub fn agrees(&self, ruleset: &Ruleset) -> bool {
        agrees(ruleset, &self.text)
    }

    /// What it says.
    ///
    /// # Errors
    /// It is not the text of iptables-save.
    pub fn read(self) -> Result<TableSnapshot, TablesError> {
        let rules = parse(&self.text).map_err(|error| TablesError::Dump {
            program: self.program,
            error,
        })?;
        Ok(TableSnapshot {
            rules,
            counters: Counters::parse(&self.text),
        })
    }
}

/// Programs that read the tables of each family, all at the same time.
pub struct PendingReads<'a>(Vec<Result<PendingRead<'a>, TablesError>>);

/// Starts reading; there is time for other work until it is finished.
pub fn start_read<'a>(families: impl IntoIterator<Item = &'a Tables>) -> PendingReads<'a> {
    PendingReads(families.into_iter().map(Tables::start_read).collect())
}

impl PendingReads<'_> {
    /// The tables of each family.
    ///
    /// # Errors
    /// The first that failed.
    pub fn finish(self) -> Result<Vec<TableSnapshot>, TablesError> {
        self.dumps()?.into_iter().map(RawDump::read).collect()
    }

    /// The same as text.
    ///
    /// # Errors
    /// The first that failed.
    pub fn dumps(self) -> Result<Vec<RawDump>, TablesError> {
        let finished: Vec<_> = self
            .0
            .into_iter()
            .map(|reading| reading.and_then(PendingRead::finish))
            .collect();
        finished.into_iter().collect()
    }
}
