//! `camfw compare OLD NEW`: of whose packets does something else become?

use std::path::Path;

use super::dump::{dump_of, unknown};
use super::{FAILED, REFUSED, complain, print};
use crate::apply;
use crate::family::IpFamily;
use crate::host::config_file::Purpose;
use crate::host::text_file;
use crate::netfilter::Ruleset;
use crate::policy::Answers;
use crate::prove;
use crate::source::Source;

/// The rules of each family that a file has.
type Rules = Vec<(IpFamily, Ruleset)>;

/// Prints what changes; the exit code.
pub(super) fn run(old: &str, new: &str) -> u8 {
    if old == "-" && new == "-" {
        complain("standard input can be read once; give a file as one of the two");
        return REFUSED;
    }
    let both = rules(old).and_then(|old| Ok((old, rules(new)?)));
    let share = |old: &Rules, new: &Rules| {
        let mut old = old.iter();
        old.any(|(family, _)| new.iter().any(|(known, _)| known == family))
    };
    match both {
        Ok((from, to)) if !share(&from, &to) => {
            complain(&format!(
                "{old} and {new} are of IPv4 and of IPv6; give two of one family"
            ));
            REFUSED
        }
        Ok((old, new)) => report(&old, &new),
        Err(why) => {
            complain(&why);
            REFUSED
        }
    }
}

fn rules(path: &str) -> Result<Rules, String> {
    let text = text_file::read(path)?;
    if is_dump(&text) {
        let (rules, family) = dump_of(path, &text)?;
        return Ok(vec![(family, rules)]);
    }
    // A file of the disk has its drop-ins beside it; a pipe has none.
    let plan = match text_file::is_regular(path) {
        true => apply::read_plan(Path::new(path), Purpose::Ask),
        false => crate::plan(&Source::new(path, text), &Answers::new()),
    };
    let plan = plan.map_err(|refusal| refusal.to_string())?;
    Ok(plan.rules.into_iter().collect())
}

/// A text of nothing but remarks is the dump of a kernel without tables; no line
/// of a configuration begins like one of a dump.
fn is_dump(text: &str) -> bool {
    let lines = text.lines().map(str::trim);
    let mut said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.next()
        .is_none_or(|line| line.starts_with(['*', ':', '-']))
}

fn report(old: &Rules, new: &Rules) -> u8 {
    let mut same = true;
    for (family, before) in old {
        let Some((_, after)) = new.iter().find(|(known, _)| known == family) else {
            print(&format!(
                "{family} is not compared: NEW is a dump of the other\n"
            ));
            continue;
        };
        let found = prove::compare(before, after, *family);
        same &= found == prove::Comparison::default();
        for change in &found.changes {
            print(&format!("{}{change}\n", of(*family)));
        }
        for change in &found.doubts {
            print(&format!("{}perhaps {change}\n", of(*family)));
        }
        if found.more {
            print("and more\n");
        }
        if found.too_large {
            print("cannot be told: it takes too much memory\n");
        }
        if !found.doubts.is_empty() {
            print(&unknown([(*family, after)]));
        }
    }
    for (family, _) in new {
        if old.iter().all(|(known, _)| known != family) {
            print(&format!(
                "{family} is not compared: OLD is a dump of the other\n"
            ));
        }
    }
    if same { 0 } else { FAILED }
}

fn of(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "",
        IpFamily::V6 => "IPv6: ",
    }
}
