//! `camfw compare OLD NEW`: finds the packets that two policies treat differently.

use super::{CliError, Command, ExitCode, Given, UsageError, print};
use std::path::Path;

use super::dump::{dump_of, unknown};
use crate::apply;
use crate::family::IpFamily;
use crate::host::config_file::Purpose;
use crate::host::text_file;
use crate::netfilter::Ruleset;
use crate::policy::Answers;
use crate::prove;
use crate::source::Source;

pub(super) const COMMAND: Command = Command::new(
    "compare",
    "of whose packets does something else become?",
    run,
)
.operands(&["OLD", "NEW"])
.about(
    "OLD and NEW are configurations or what iptables-save prints, in any combination;
- is standard input. Tells packets with another verdict, another destination or
source, or a copy, and gives an example of each. Exit code 1 if there are any.",
);

/// The rulesets in a file, with their families.
type ComparedRules = Vec<(IpFamily, Ruleset)>;

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let [old, new] = given.operands() else {
        return Err(UsageError::Operands(&COMMAND).into());
    };
    if old == "-" && new == "-" {
        return Err(UsageError::Together(
            "standard input can be read once; give a file as one of the two",
        )
        .into());
    }
    let (from, to) = (rules(old)?, rules(new)?);
    let mut families = from.iter();
    if !families.any(|(family, _)| to.iter().any(|(known, _)| known == family)) {
        return Err(CliError::NotOneFamily(old.clone(), new.clone()));
    }
    Ok(report(&from, &to))
}

fn rules(path: &str) -> Result<ComparedRules, CliError> {
    let text = text_file::read(path)?;
    if is_dump(&text) {
        let (rules, family) = dump_of(path, &text)?;
        return Ok(vec![(family, rules)]);
    }
    // A regular file may have drop-ins beside it; a pipe has none.
    let plan = match text_file::is_regular(path) {
        true => apply::read_plan(Path::new(path), Purpose::Ask),
        false => crate::plan(&Source::new(path, text), &Answers::new()),
    }?;
    Ok(plan.rules.into_iter().collect())
}

/// Whether a text is a dump and not a configuration: their lines begin differently. A
/// text with only comments is the dump of a kernel without tables.
fn is_dump(text: &str) -> bool {
    let lines = text.lines().map(str::trim);
    let mut said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.next()
        .is_none_or(|line| line.starts_with(['*', ':', '-']))
}

fn report(old: &ComparedRules, new: &ComparedRules) -> ExitCode {
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
    ExitCode::of(same)
}

fn of(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "",
        IpFamily::V6 => "IPv6: ",
    }
}
