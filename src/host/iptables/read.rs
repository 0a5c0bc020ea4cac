//! Reads the kernel's tables: one iptables-save per family, in parallel.

use std::time::Duration;

use super::super::process::{self, Running};
use super::dormant::dormant;
use super::whole_tables::WholeTables;
use super::{Tables, TablesError};
use crate::family::IpFamily;
use crate::netfilter::{Counters, Ruleset, Table, TableName, agrees, parse, read};

/// The time limit of iptables-save. That of nf_tables asks for each chain by itself, and a long
/// `[[deny]]` has ten thousands of them.
const LIMIT: Duration = Duration::from_secs(30);

/// The tables of one family, as read from the kernel.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// The tables.
    pub rules: Ruleset,
    /// Those that are dormant, of whose rules none is in force: they are untouched in `rules`.
    pub dormant: Vec<TableName>,
    text: String,
}

impl TableSnapshot {
    /// Their counters; 0 if the image has no iptables-save. An apply that loads nothing needs
    /// none.
    pub fn counters(&self) -> Counters {
        Counters::parse(&self.text)
    }

    /// Checks that iptables-save left nothing out. Comparing tells that too, but a proof would
    /// take what is not there for nothing.
    ///
    /// # Errors
    /// Returns an error that names the table.
    pub fn insist_on_whole(&self, tables: &Tables) -> Result<(), TablesError> {
        let whole = read(&self.text).map(drop);
        whole.map_err(|error| TablesError::Dump {
            program: tables.handle.cmd,
            error,
        })
    }
}

pub(super) enum PendingRead<'a> {
    Save(&'a Tables, Running),
    List(&'a Tables),
}

impl PendingRead<'_> {
    fn finish(self) -> Result<RawDump, TablesError> {
        let (tables, text) = match self {
            PendingRead::Save(tables, running) => (tables, running.finish(LIMIT)?),
            PendingRead::List(tables) => {
                let list = || tables.handle.list_all();
                (tables, process::within(process::SHORT, list)?)
            }
        };
        Ok(RawDump {
            family: tables.family,
            program: tables.handle.cmd,
            dormant: dormant(tables)?,
            text,
        })
    }
}

/// The tables of one family as text, not yet parsed.
#[derive(Debug)]
pub struct RawDump {
    family: IpFamily,
    program: &'static str,
    dormant: Vec<TableName>,
    text: String,
}

impl RawDump {
    /// Whether the text is exactly that of the ruleset, and all of it is in force.
    pub fn agrees(&self, ruleset: &Ruleset) -> bool {
        self.dormant.is_empty() && agrees(ruleset, &self.text)
    }

    /// Parses the text.
    ///
    /// # Errors
    /// Returns an error if it is not valid iptables-save output.
    pub fn read(self) -> Result<TableSnapshot, TablesError> {
        let mut rules = parse(&self.text).map_err(|error| TablesError::Dump {
            program: self.program,
            error,
        })?;
        for name in &self.dormant {
            rules.set(*name, Table::untouched(*name));
        }
        Ok(TableSnapshot {
            rules,
            dormant: self.dormant,
            text: self.text,
        })
    }

    /// The same as [`RawDump::read`], for tables that are most likely these: to see that they
    /// are takes a fraction of the time.
    fn read_expecting(self, expected: &Ruleset) -> Result<TableSnapshot, TablesError> {
        match self.agrees(expected) {
            true => Ok(TableSnapshot {
                rules: expected.clone(),
                dormant: Vec::new(),
                text: self.text,
            }),
            false => self.read(),
        }
    }
}

/// Programs that are reading the tables of each family, in parallel.
pub struct PendingReads<'a>(Vec<Result<PendingRead<'a>, TablesError>>);

/// Starts reading; other work can be done before calling [`PendingReads::finish`].
pub fn start_read<'a>(families: impl IntoIterator<Item = &'a Tables>) -> PendingReads<'a> {
    PendingReads(families.into_iter().map(Tables::start_read).collect())
}

impl PendingReads<'_> {
    /// Waits for the programs and parses the tables of each family.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn finish(self) -> Result<Vec<TableSnapshot>, TablesError> {
        self.each().into_iter().collect()
    }

    /// The same as [`PendingReads::finish`], for tables that are most likely these.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn finish_expecting<'e>(
        self,
        expected: impl Fn(IpFamily) -> &'e Ruleset,
    ) -> Result<Vec<TableSnapshot>, TablesError> {
        let dumps = self.dumps()?.into_iter();
        dumps
            .map(|dump| {
                let expected = expected(dump.family);
                dump.read_expecting(expected)
            })
            .collect()
    }

    /// The same as [`PendingReads::finish`], with what became of each family.
    pub fn each(self) -> Vec<Result<TableSnapshot, TablesError>> {
        let dumps = self.each_dump().into_iter();
        dumps.map(|dump| dump.and_then(RawDump::read)).collect()
    }

    /// The same as [`PendingReads::finish`], without parsing.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn dumps(self) -> Result<Vec<RawDump>, TablesError> {
        self.each_dump().into_iter().collect()
    }

    fn each_dump(self) -> Vec<Result<RawDump, TablesError>> {
        let reading = self.0.into_iter();
        reading
            .map(|reading| reading.and_then(PendingRead::finish))
            .collect()
    }
}
