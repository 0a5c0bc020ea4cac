//! What iptables-save says it did not print. It says so in comments alone.

use crate::netfilter::TableName;

/// What iptables-nft-save left out of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::netfilter) enum Hidden {
    /// The table: a rule or chain of it is none that iptables makes.
    Table,
    /// Chains that nft hooked in beside those of iptables.
    Chains,
}

/// What a comment says is left out, and of which table (xtables_save_main in
/// iptables/xtables-save.c).
pub(in crate::netfilter) fn hides(line: &str) -> Option<(TableName, Hidden)> {
    let (name, rest) = line.strip_prefix("# Table `")?.split_once('\'')?;
    let mut all = TableName::ALL.into_iter();
    let name = all.find(|known| known.as_str() == name)?;
    match rest {
        rest if rest.starts_with(" is incompatible") => Some((name, Hidden::Table)),
        rest if rest.contains("incompatible") => Some((name, Hidden::Chains)),
        _ => None,
    }
}

/// Why a dump with this line says too little for a proof.
pub(super) fn refused(line: &str) -> Option<&'static str> {
    if hides(line).is_some() {
        return Some(
            "iptables-save could not print all of this table, so what it does is not known; look at it with nft",
        );
    }
    // nft_check_xt_legacy in iptables/nft.c: on stderr, which people save along.
    let is_other = line.starts_with("# Warning: ") && line.contains("-legacy tables present");
    is_other.then_some(
        "the box has rules of iptables-legacy too, which are not in this dump; prove iptables-legacy-save's as well, and take this line out",
    )
}
