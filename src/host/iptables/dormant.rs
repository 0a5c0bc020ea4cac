//! Tables that are dormant: by a flag that nft sets, the kernel takes a table's chains off their
//! hooks and keeps them (nf_tables_table_disable in net/netfilter/nf_tables_api.c), and
//! iptables-nft-save prints them as ever.

use std::io;

use super::super::nf_tables::{GET_TABLE, NFTABLES};
use super::super::nfnetlink::{Netfilter, Request};
use super::super::others::{is_nft, is_nft_by_name};
use super::super::process;
use super::{Tables, TablesError, lock_file};
use crate::family::IpFamily;
use crate::netfilter::{Ruleset, TableName, restore_text};

/// Attributes of its answer (linux/netfilter/nf_tables.h).
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;

/// NFT_TABLE_F_DORMANT, in the last of four bytes.
const DORMANT: u8 = 1;

/// The dormant tables of a family; none of iptables-legacy, which has tables of its own.
pub(super) fn dormant(tables: &Tables) -> Result<Vec<TableName>, TablesError> {
    let program = tables.handle.cmd;
    // Without a question to the kernel, whose answer the closing of a box might wait for.
    if is_nft_by_name(program) == Some(false) {
        return Ok(Vec::new());
    }
    let names = asked(tables.family);
    // A kernel without nf_tables refuses the request.
    if names.as_ref().is_ok_and(Vec::is_empty) || !is_nft(program) {
        return Ok(Vec::new());
    }
    names.map_err(|error| TablesError::Call {
        program,
        table: TableName::Filter.as_str(),
        message: format!("cannot ask whether it is dormant: {error}"),
    })
}

fn asked(family: IpFamily) -> io::Result<Vec<TableName>> {
    let request = Request {
        subsystem: NFTABLES,
        kind: GET_TABLE,
        family: match family {
            IpFamily::V4 => 2,
            IpFamily::V6 => 10,
        },
        resource: 0,
        attributes: &[],
    };
    let all = Netfilter::open()?.dump(request)?;
    let dormant = all.iter().filter(|table| {
        let flags = table.attribute(TABLE_FLAGS).and_then(<[u8]>::last);
        flags.is_some_and(|flags| flags & DORMANT != 0)
    });
    let names = dormant.filter_map(|table| {
        let name = table.attribute(TABLE_NAME)?.strip_suffix(b"\0")?;
        let mut known = TableName::ALL.into_iter();
        known.find(|known| known.as_str().as_bytes() == name)
    });
    Ok(names.collect())
}

/// Makes those of these tables anew that are dormant, the filter table closed: what is loaded
/// into a dormant one would not be in force.
pub(super) fn wake(tables: &Tables, restore: &str, names: &[TableName]) -> Result<(), TablesError> {
    // Not to know must not prevent the load; reading back tells.
    let dormant = dormant(tables).unwrap_or_default();
    for name in dormant.iter().filter(|name| names.contains(name)) {
        log::warn!("{} table {} was dormant", tables.family, name.as_str());
        // Without --noflush, the table is deleted first.
        let text = restore_text(&Ruleset::sealed(), &[*name]);
        process::start(restore, &["--wait"], Some(&text), lock_file())?.finish(process::SHORT)?;
    }
    Ok(())
}
