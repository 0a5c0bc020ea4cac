//! What `--rules` and `--networks` name: anyone's rules, and what is behind their
//! interfaces.

use crate::family::IpFamily;
use crate::host::text_file;
use crate::netfilter::{Ruleset, named_family, read};
use crate::prove::{self, Behind};

/// Anyone's rules, and their family.
pub(super) fn dump(path: &str) -> Result<(Ruleset, IpFamily), String> {
    dump_of(path, &text_file::read(path)?)
}

/// The same of a text that was read already.
pub(super) fn dump_of(path: &str, text: &str) -> Result<(Ruleset, IpFamily), String> {
    let rules = read(text).map_err(|error| format!("{path}: {error}"))?;
    // A kernel without tables accepts everything, and so would this.
    if rules.tables().next().is_none() {
        return Err(format!(
            "{path}: holds no table; give what iptables-save prints for root"
        ));
    }
    let named = named_family(text);
    let family =
        prove::family_of_dump(&rules, named).map_err(|error| format!("{path}: {error}"))?;
    Ok((rules, family))
}

/// What is behind the interfaces, as a file says it.
pub(super) fn networks(path: &str) -> Result<Vec<Behind>, String> {
    let text = text_file::read(path)?;
    prove::networks(&text).map_err(|error| format!("{path}:{error}"))
}

/// What in some rules was not known, a line each.
pub(super) fn unknown<'r>(rules: impl IntoIterator<Item = (IpFamily, &'r Ruleset)>) -> String {
    let mut text = String::new();
    for (family, ruleset) in rules {
        for (what, rules) in prove::unknown(ruleset, family) {
            text += &format!(
                "judged both ways, since it depends on more than the packet or is not known: {what} (rules: {rules})\n"
            );
        }
    }
    text
}
