//! The kernel's tables, through iptables.
//!
//! Everything goes through one handle per family, [`IPTables`] of the iptables
//! crate. That crate runs one process per rule, so an extension trait adds
//! iptables-restore, which loads a table as a whole and atomically, and
//! iptables-save, which reads all of them. Where the image has neither, the
//! crate's own calls leave and read the same tables.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use iptables::IPTables;
use nix::unistd::{AccessFlags, access};
use thiserror::Error;

use super::process::{self, ProcessError, Running};
use crate::family::IpFamily;
use crate::name::ChainName;
use crate::netfilter::{
    Counters, Feature, ParseError, Policy, Ruleset, TableName, agrees, parse, restore_text,
    restore_text_counted, rule_text,
};

/// What a line of rules may take beside what reading may, with room for a slow machine.
const LIMIT_PER_LINE: Duration = Duration::from_millis(20);

fn limit(text: &str) -> Duration {
    let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    process::SHORT + LIMIT_PER_LINE.saturating_mul(lines)
}

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
    #[error("{error}; the line is {line:?}")]
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
    #[error("cannot read what {program} prints: {error}")]
    Dump {
        /// Which program.
        program: &'static str,
        /// What is wrong in it.
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

/// Whole tables at a time, beside the crate's single rules.
trait WholeTables {
    /// Starts loading these tables of `ruleset`, each atomically.
    fn start_restore(&self, restore: &str, text: &str) -> Result<Running, ProcessError>;
    /// Appends every rule by a call of its own.
    fn append_all(&self, ruleset: &Ruleset, tables: &[TableName]) -> Result<(), TablesError>;
    /// Lists every table by a call of its own, in the form of iptables-save.
    fn list_all(&self) -> Result<String, TablesError>;
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

    fn start_read(&self) -> Result<Reading<'_>, TablesError> {
        Ok(match &self.save {
            Some(save) => Reading::Save(
                self,
                process::start(save, &["--counters"], None, lock_file())?,
            ),
            None => Reading::List(self),
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

/// What the kernel holds of one family.
#[derive(Debug, Clone)]
pub struct Found {
    /// The tables.
    pub rules: Ruleset,
    /// What they have counted; nothing where the image has no iptables-save.
    pub counters: Counters,
}

enum Reading<'a> {
    Save(&'a Tables, Running),
    List(&'a Tables),
}

impl Reading<'_> {
    fn finish(self) -> Result<Dump, TablesError> {
        let (tables, text) = match self {
            Reading::Save(tables, running) => (tables, running.finish(process::SHORT)?),
            Reading::List(tables) => {
                let list = || tables.handle.list_all();
                (tables, process::within(process::SHORT, list)?)
            }
        };
        Ok(Dump {
            program: tables.handle.cmd,
            text,
        })
    }
}

/// What the kernel holds of one family, as text.
#[derive(Debug)]
pub struct Dump {
    program: &'static str,
    text: String,
}

impl Dump {
    /// Whether it says just what a ruleset says.
    pub fn agrees(&self, ruleset: &Ruleset) -> bool {
        agrees(ruleset, &self.text)
    }

    /// What it says.
    ///
    /// # Errors
    /// It is not the text of iptables-save.
    pub fn read(self) -> Result<Found, TablesError> {
        let rules = parse(&self.text).map_err(|error| TablesError::Dump {
            program: self.program,
            error,
        })?;
        Ok(Found {
            rules,
            counters: Counters::parse(&self.text),
        })
    }
}

enum Loading {
    Restore(Running, String),
    Done,
}

impl Loading {
    fn finish(self) -> Result<(), TablesError> {
        let Loading::Restore(running, text) = self else {
            return Ok(());
        };
        match running.finish(limit(&text)) {
            Ok(_) => Ok(()),
            Err(error) => Err(match named_line(&error, &text) {
                // The legacy tools name COMMIT whatever is wrong.
                Some(line) if line != "COMMIT" => TablesError::Line { error, line },
                _ => error.into(),
            }),
        }
    }
}

/// The same text with each table emptied first, for `--noflush`, and these chains
/// taken out. Without that option iptables-nft-restore deletes the table and makes
/// it anew, and then the kernel takes the old chains off their hooks before it gives
/// the new ones their policy (nf_tables_commit in net/netfilter/nf_tables_api.c): for
/// a moment what no rule drops is let through. So it is with `-X` for all chains,
/// after which iptables-nft-restore makes the built-in ones anew over those that are
/// there: their policy is ACCEPT until the same commit comes to the one that is wanted.
fn in_place(text: &str, gone: &BTreeSet<(TableName, ChainName)>) -> String {
    let mut made = String::with_capacity(text.len());
    let mut left: Vec<&ChainName> = Vec::new();
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('*') {
            let of_it = gone.iter().filter(|(name, _)| name.as_str() == table);
            left = of_it.map(|(_, chain)| chain).collect();
            made += &format!("{line}\n-F\n");
            continue;
        }
        if !line.starts_with(':') {
            for chain in left.drain(..) {
                // Declared first: one that somebody else took out is no error then.
                made += &format!(":{chain} - [0:0]\n-X {chain}\n");
            }
        }
        made += line;
        made.push('\n');
    }
    made
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

/// What the kernel itself lists of a family's tables, matches and targets. A
/// kernel without the legacy tables lists nothing, one with modules only what
/// it has loaded.
pub struct Listed([String; 3]);

/// Reads the kernel's lists.
pub fn listed(family: IpFamily) -> Listed {
    let version = match family {
        IpFamily::V4 => "ip",
        IpFamily::V6 => "ip6",
    };
    Listed(["names", "matches", "targets"].map(|what| {
        std::fs::read_to_string(format!("/proc/net/{version}_tables_{what}")).unwrap_or_default()
    }))
}

impl Listed {
    /// Whether the kernel lists it.
    pub fn has(&self, feature: Feature) -> bool {
        let [names, matches, targets] = &self.0;
        let (list, name) = match feature {
            Feature::Table(name) => (names, name.as_str()),
            Feature::Match(name) => (matches, name),
            Feature::Target(name) => (targets, name),
            // A module, or a part of the kernel, with parameters is there.
            Feature::Helper(name) => {
                return Path::new(&format!("/sys/module/nf_conntrack_{name}")).exists();
            }
        };
        list.lines().any(|line| line == name)
    }
}

/// The line that iptables-restore names: `line 12 failed`, `line: 12`.
fn named_line(error: &ProcessError, text: &str) -> Option<String> {
    let ProcessError::Failed { message, .. } = error else {
        return None;
    };
    let after = message.split("line").nth(1)?.trim_start_matches([':', ' ']);
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let number: usize = digits.parse().ok()?;
    text.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

/// Programs that read the tables of each family, all at the same time.
pub struct Readings<'a>(Vec<Result<Reading<'a>, TablesError>>);

/// Starts reading; there is time for other work until it is finished.
pub fn start_read<'a>(families: impl IntoIterator<Item = &'a Tables>) -> Readings<'a> {
    Readings(families.into_iter().map(Tables::start_read).collect())
}

impl Readings<'_> {
    /// The tables of each family.
    ///
    /// # Errors
    /// The first that failed.
    pub fn finish(self) -> Result<Vec<Found>, TablesError> {
        self.dumps()?.into_iter().map(Dump::read).collect()
    }

    /// The same as text.
    ///
    /// # Errors
    /// The first that failed.
    pub fn dumps(self) -> Result<Vec<Dump>, TablesError> {
        let finished: Vec<_> = self
            .0
            .into_iter()
            .map(|reading| reading.and_then(Reading::finish))
            .collect();
        finished.into_iter().collect()
    }
}

/// What to load into one family's tables.
pub struct Load<'a> {
    /// Where.
    pub tables: &'a Tables,
    /// What.
    pub ruleset: &'a Ruleset,
    /// Which of its tables, in this order; the others stay as they are.
    pub names: Vec<TableName>,
    /// What its rules begin to count from.
    pub counters: Counters,
    /// The chains that are there and not wanted.
    pub gone: BTreeSet<(TableName, ChainName)>,
    /// A filter table to be loaded before all of them.
    pub hold: Option<Ruleset>,
}

impl Load<'_> {
    /// Takes out, too, the chains that were found and are not wanted.
    pub fn takes_out(&mut self, found: &Ruleset) {
        let names = |ruleset: &Ruleset| -> BTreeSet<(TableName, ChainName)> {
            let tables = ruleset
                .tables()
                .filter(|(name, _)| self.names.contains(name));
            tables
                .flat_map(|(name, table)| {
                    let user = table
                        .chains
                        .iter()
                        .filter(move |chain| !name.builtin_chains().contains(&chain.name.as_str()));
                    user.map(move |chain| (name, chain.name.clone()))
                })
                .collect()
        };
        let wanted = names(self.ruleset);
        let unwanted = names(found)
            .into_iter()
            .filter(|chain| !wanted.contains(chain));
        self.gone.extend(unwanted);
    }
}

/// How several families are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At the same time.
    Together,
    /// One after the other.
    InTurn,
}

/// Loads each. All programs are waited for, so that none is still at work when
/// this returns.
///
/// # Errors
/// The first that failed.
pub fn load(loads: &[Load<'_>], pace: Pace) -> Result<(), TablesError> {
    if pace == Pace::InTurn {
        return loads
            .iter()
            .try_for_each(|load| load.tables.start_load(load)?.finish());
    }
    let started: Vec<_> = loads
        .iter()
        .map(|load| load.tables.start_load(load))
        .collect();
    let finished: Vec<_> = started
        .into_iter()
        .map(|loading| loading.and_then(Loading::finish))
        .collect();
    finished.into_iter().collect()
}

impl WholeTables for IPTables {
    fn start_restore(&self, restore: &str, text: &str) -> Result<Running, ProcessError> {
        process::start(
            restore,
            &["--wait", "--counters", "--noflush"],
            Some(text),
            lock_file(),
        )
    }

    fn append_all(&self, ruleset: &Ruleset, tables: &[TableName]) -> Result<(), TablesError> {
        // Into a sealed filter table, whichever tables change: nothing passes
        // while the others are half done.
        let filter = TableName::Filter;
        for chain in filter.builtin_chains() {
            self.set_policy(filter.as_str(), chain, "DROP")
                .map_err(|error| failed(self, filter, &*error))?;
        }
        clear(self, filter)?;
        for name in TableName::ALL {
            if name != filter && !tables.contains(&name) {
                continue;
            }
            let call = |result: Result<(), Box<dyn std::error::Error>>| {
                result.map_err(|error| failed(self, name, &*error))
            };
            if name != filter {
                clear(self, name)?;
            }
            let (table, content) = (name.as_str(), ruleset.table(name));
            for chain in content.chains.iter().filter(|chain| chain.policy.is_none()) {
                call(self.new_chain(table, chain.name.as_str()))?;
            }
            for chain in &content.chains {
                for rule in &chain.rules {
                    call(self.append(table, chain.name.as_str(), &rule_text(rule)))?;
                }
            }
            // nat has no policy to set: iptables refuses DROP there.
            for chain in content.chains.iter().filter(|_| name != TableName::Nat) {
                let policy = match chain.policy {
                    Some(Policy::Accept) => "ACCEPT",
                    Some(Policy::Drop) => "DROP",
                    None => continue,
                };
                call(self.set_policy(table, chain.name.as_str(), policy))?;
            }
        }
        Ok(())
    }

    fn list_all(&self) -> Result<String, TablesError> {
        let mut text = String::new();
        for name in TableName::ALL {
            let lines = self
                .list_table(name.as_str())
                .map_err(|error| failed(self, name, &*error))?;
            // A table that the kernel does not have lists nothing.
            if lines.iter().any(|line| line.starts_with("-P ")) {
                text += &format!("*{}\n{}\nCOMMIT\n", name.as_str(), lines.join("\n"));
            }
        }
        Ok(text)
    }
}

fn clear(handle: &IPTables, name: TableName) -> Result<(), TablesError> {
    let table = name.as_str();
    let call = |result: Result<(), Box<dyn std::error::Error>>| {
        result.map_err(|error| failed(handle, name, &*error))
    };
    call(handle.flush_table(table))?;
    let chains = handle
        .list_chains(table)
        .map_err(|error| failed(handle, name, &*error))?;
    for chain in chains {
        if !name.builtin_chains().contains(&chain.as_str()) {
            call(handle.delete_chain(table, &chain))?;
        }
    }
    Ok(())
}

fn failed(handle: &IPTables, table: TableName, error: &dyn std::error::Error) -> TablesError {
    TablesError::Call {
        program: handle.cmd,
        table: table.as_str(),
        message: crate::source::one_line(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_takes_out_chains_by_name_and_never_all() -> Result<(), Box<dyn std::error::Error>> {
        let text = "*raw\n:PREROUTING ACCEPT [0:0]\n:a - [0:0]\n-A a -j DROP\nCOMMIT\n\
                    *filter\n:INPUT DROP [0:0]\nCOMMIT\n";
        let chain = |table, name| ChainName::try_from(name).map(|chain| (table, chain));
        let gone = BTreeSet::from([
            chain(TableName::Raw, "b")?,
            chain(TableName::Filter, "c")?,
            chain(TableName::Filter, "d")?,
        ]);
        let expected = "*raw\n-F\n:PREROUTING ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n-X b\n\
                        -A a -j DROP\nCOMMIT\n\
                        *filter\n-F\n:INPUT DROP [0:0]\n:c - [0:0]\n-X c\n:d - [0:0]\n-X d\nCOMMIT\n";
        assert_eq!(in_place(text, &gone), expected);
        Ok(())
    }
}
