//! `camfw compare OLD NEW`: finds the packets that two policies treat differently.

use super::{CliError, Command, ExitCode, Given, UsageError, print};
use std::path::Path;

use super::dump::{dump_of, taken_for};
use super::json::{JSON, JudgedBothWays, ShownPacket, print_json};
use crate::apply;
use crate::family::IpFamily;
use crate::host::config_file::Purpose;
use crate::host::text_file;
use crate::json::json_object;
use crate::netfilter::Ruleset;
use crate::prove::{self, HookPath, VerdictChange, VerdictOutcome};

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
)
.flags(&[JSON]);

const MORE: &str =
    "and more: of each kind of change to the router, across or from it, 24 lines are shown\n";

/// What a file says.
struct ComparedRules {
    rules: Vec<(IpFamily, Ruleset)>,
    /// Its name, if it is a dump that does not tell its family.
    untold: Option<String>,
}

impl ComparedRules {
    /// Takes a dump that does not tell its family for one of the other's, if that has one
    /// alone; says so.
    fn taken_like(&mut self, other: &ComparedRules) -> Option<String> {
        let file = self.untold.as_ref()?;
        if let (None, [(family, _)]) = (&other.untold, other.rules.as_slice()) {
            self.rules.iter_mut().for_each(|it| it.0 = *family);
        }
        let family = self.rules.first()?.0;
        Some(taken_for(file, family))
    }
}

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
    let (mut from, mut to) = (rules(old)?, rules(new)?);
    let mut notes = vec![from.taken_like(&to), to.taken_like(&from)];
    notes.dedup();
    let mut families = from.rules.iter();
    if !families.any(|(family, _)| to.rules.iter().any(|(known, _)| known == family)) {
        return Err(CliError::NotOneFamily(old.clone(), new.clone()));
    }
    let mut compared = report(&from.rules, &to.rules);
    compared.notes.extend(notes.into_iter().flatten());
    if given.has(&JSON) {
        print_json(&compared);
    } else {
        compared.print();
    }
    Ok(ExitCode::of(compared.same))
}

fn rules(path: &str) -> Result<ComparedRules, CliError> {
    let text = text_file::read(path)?;
    if is_dump(&text) {
        let dump = dump_of(path, &text)?;
        return Ok(ComparedRules {
            untold: (!dump.tells).then(|| path.to_owned()),
            rules: vec![(dump.family, dump.rules)],
        });
    }
    // A regular file may have drop-ins beside it; a pipe has none.
    let plan = match text_file::is_regular(path) {
        true => apply::read_plan(Path::new(path), Purpose::Ask),
        false => apply::plan_of_text(path, text, Purpose::Ask),
    }?;
    Ok(ComparedRules {
        rules: plan.rules.into_iter().collect(),
        untold: None,
    })
}

/// Whether a text is a dump and not a configuration: their lines begin differently. A
/// text with only comments is the dump of a kernel without tables.
fn is_dump(text: &str) -> bool {
    let lines = text.lines().map(str::trim);
    let mut said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.next()
        .is_none_or(|line| line.starts_with(['*', ':', '-']))
}

/// What differs, for a program.
struct Compared {
    same: bool,
    changes: Vec<Change>,
    /// Whether there are more than are listed.
    more: bool,
    /// The families of which it cannot be told: it takes too much memory.
    too_large: Vec<String>,
    judged_both_ways: Vec<JudgedBothWays>,
    notes: Vec<String>,
}

json_object!(Compared {
    same,
    changes,
    more,
    too_large,
    judged_both_ways,
    notes
});

struct Change {
    family: String,
    /// Whether it is so for every answer of what depends on more than the packet.
    certain: bool,
    change: &'static str,
    way: &'static str,
    packets: String,
    before: ShownPacket,
    after: ShownPacket,
    /// What is rewritten otherwise; null where the verdict is another.
    rewritten: Option<Rewritten>,
    /// The lines for people.
    text: String,
}

json_object!(Change {
    family, certain, change, way, packets, before, after, rewritten
} without { text });

struct Rewritten {
    kind: &'static str,
    before: Option<String>,
    after: Option<String>,
}

json_object!(Rewritten {
    kind,
    before,
    after
});

impl Change {
    fn new(family: IpFamily, certain: bool, change: &VerdictChange) -> Change {
        let perhaps = if certain { "" } else { "perhaps " };
        let (what, rewritten) = match &change.outcome {
            VerdictOutcome::LetThrough => ("let-through", None),
            VerdictOutcome::Dropped => ("dropped", None),
            VerdictOutcome::Changed {
                kind,
                before,
                after,
            } => {
                let rewritten = Rewritten {
                    kind: kind.words(),
                    before: before.clone(),
                    after: after.clone(),
                };
                ("otherwise", Some(rewritten))
            }
        };
        Change {
            family: family.to_string(),
            certain,
            change: what,
            way: match change.way {
                HookPath::Input => "to-router",
                HookPath::Forward => "across",
                HookPath::Output => "from-router",
            },
            packets: change.packets.clone(),
            before: ShownPacket::from(&change.before),
            after: ShownPacket::from(&change.after),
            rewritten,
            text: format!("{}{perhaps}{change}\n", of(family)),
        }
    }
}

impl Compared {
    fn print(&self) {
        let mut text: String = self.changes.iter().map(|it| it.text.as_str()).collect();
        if self.more {
            text += MORE;
        }
        for family in &self.too_large {
            text += &format!("{family} cannot be told: it takes too much memory\n");
        }
        for note in &self.notes {
            text += &format!("{note}\n");
        }
        text.extend(self.judged_both_ways.iter().map(JudgedBothWays::line));
        if self.same {
            text = format!("the same becomes of every packet\n{text}");
        }
        print(&text);
    }
}

fn report(old: &[(IpFamily, Ruleset)], new: &[(IpFamily, Ruleset)]) -> Compared {
    let mut compared = Compared {
        same: true,
        changes: Vec::new(),
        more: false,
        too_large: Vec::new(),
        judged_both_ways: Vec::new(),
        notes: Vec::new(),
    };
    for (family, before) in old {
        let Some((_, after)) = new.iter().find(|(known, _)| known == family) else {
            let note = format!("{family} is not compared: NEW is a dump of the other");
            compared.notes.push(note);
            continue;
        };
        let found = prove::compare(before, after, *family);
        compared.same &= found == prove::Comparison::default();
        for (changes, certain) in [(&found.changes, true), (&found.doubts, false)] {
            let changes = changes.iter();
            let changes = changes.map(|change| Change::new(*family, certain, change));
            compared.changes.extend(changes);
        }
        // What gets through and did not is what one looks for.
        compared
            .changes
            .sort_by_key(|it| it.change != "let-through");
        compared.more |= found.more;
        if found.too_large {
            compared.too_large.push(family.to_string());
        }
        if !found.doubts.is_empty() {
            let all = JudgedBothWays::all([(*family, after)]);
            compared.judged_both_ways.extend(all);
        }
    }
    for (family, _) in new {
        if old.iter().all(|(known, _)| known != family) {
            let note = format!("{family} is not compared: OLD is a dump of the other");
            compared.notes.push(note);
        }
    }
    compared
}

fn of(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "",
        IpFamily::V6 => "IPv6: ",
    }
}
