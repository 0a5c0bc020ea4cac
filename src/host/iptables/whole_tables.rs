//! Extends the iptables crate's handle, which handles single rules, with whole tables.

use iptables::IPTables;

use super::super::process::{self, ProcessError, Running};
use super::{TablesError, lock_file};
use crate::netfilter::{ChainPolicy, Ruleset, TableName, rule_text};

/// Operations on whole tables.
pub(super) trait WholeTables {
    /// Starts loading these tables of `ruleset`, each atomically.
    fn start_restore(&self, restore: &str, text: &str) -> Result<Running, ProcessError>;
    /// Appends every rule with a call of its own.
    fn append_all(&self, ruleset: &Ruleset, tables: &[TableName]) -> Result<(), TablesError>;
    /// Lists every table with a call of its own, in iptables-save format.
    fn list_all(&self) -> Result<String, TablesError>;
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
        // Starts from a sealed filter table, whichever tables change: nothing passes
        // while they are incomplete.
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
            // nat chains have no policy to set: iptables rejects DROP there.
            for chain in content.chains.iter().filter(|_| name != TableName::Nat) {
                let policy = match chain.policy {
                    Some(ChainPolicy::Accept) => "ACCEPT",
                    Some(ChainPolicy::Drop) => "DROP",
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
            // A table that the kernel lacks lists nothing.
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
