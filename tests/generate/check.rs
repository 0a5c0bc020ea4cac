//! What must hold of the rules of any configuration: they are made of words that
//! we write, and are read back as they were written.

use std::collections::{BTreeMap, BTreeSet};

use camfw::netfilter::{Ruleset, TableName, differences, parse, restore_text};
use camfw::plan::Plan;

/// Every option that a rule of ours may have.
const OPTIONS: &[&str] = &[
    "-A",
    "-s",
    "-d",
    "-i",
    "-o",
    "-p",
    "-m",
    "-j",
    "-g",
    "--sport",
    "--dport",
    "--tcp-flags",
    "--dports",
    "--sports",
    "--icmp-type",
    "--icmpv6-type",
    "--ctstate",
    "--ctorigsrc",
    "--ctreplsrc",
    "--ctstatus",
    "--ctexpire",
    "--ctdir",
    "--helper",
    "--mac-source",
    "--dst-type",
    "--limit-iface-in",
    "--hl-eq",
    "--set",
    "--update",
    "--seconds",
    "--hitcount",
    "--name",
    "--mask",
    "--rsource",
    "--connlimit-upto",
    "--connlimit-mask",
    "--connlimit-saddr",
    "--timestart",
    "--timestop",
    "--weekdays",
    "--datestart",
    "--bytecode",
    "--contiguous",
    "--limit",
    "--limit-burst",
    "--hashlimit-upto",
    "--hashlimit-burst",
    "--hashlimit-mode",
    "--hashlimit-name",
    "--comment",
    "--log-prefix",
    "--nflog-prefix",
    "--nflog-group",
    "--nflog-size",
    "--log-tcp-options",
    "--log-ip-options",
    "--to-source",
    "--to-destination",
    "--to-ports",
    "--reject-with",
    "--clamp-mss-to-pmtu",
    "--set-mss",
    "--set-xmark",
    "--helper",
    "--zone",
];

/// Bare words are of these; what is in quotes is plain text without any.
fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-:/,@!".contains(c)
}

fn is_quoted(c: char) -> bool {
    (c == ' ' || c.is_ascii_graphic()) && !"\"'`\\".contains(c)
}

/// Whether a line holds only what we mean to write.
fn check_line(line: &str) -> Result<(), String> {
    for (number, part) in line.split('"').enumerate() {
        let quoted = number % 2 == 1;
        if quoted {
            if part.is_empty() || !part.chars().all(is_quoted) {
                return Err(format!("in quotes: {part:?}"));
            }
            continue;
        }
        for word in part.split(' ').filter(|word| !word.is_empty()) {
            let known = !word.starts_with('-') || OPTIONS.contains(&word);
            if !known || !word.chars().all(is_bare) {
                return Err(format!("word {word:?}"));
            }
        }
    }
    match line.matches('"').count() % 2 {
        0 => Ok(()),
        _ => Err("a quote is not closed".into()),
    }
}

fn check_text(ruleset: &Ruleset, text: &str) -> Result<(), String> {
    let mut lines = 0;
    for (_, table) in ruleset.tables() {
        let rules: usize = table.chains.iter().map(|chain| chain.rules.len()).sum();
        lines += 2 + table.chains.len() + rules;
    }
    if text.lines().count() != lines || text.contains('\r') {
        return Err(format!("{} lines, not {lines}", text.lines().count()));
    }
    for line in text.lines() {
        let checked = match line.chars().next() {
            Some('-') => check_line(line),
            Some(':') if line.ends_with(" [0:0]") => {
                let words: Vec<&str> = line[1..].split(' ').collect();
                match words.as_slice() {
                    [name, "ACCEPT" | "DROP" | "-", _] => check_line(name),
                    _ => Err("no chain".into()),
                }
            }
            Some('*') => check_line(&line[1..]),
            _ if line == "COMMIT" => Ok(()),
            _ => Err("no line of iptables-restore's".into()),
        };
        checked.map_err(|what| format!("{what} in {line:?}"))?;
    }
    Ok(())
}

/// The most jumps within each other that nf_tables takes (NFT_JUMP_STACK_SIZE).
const MOST_JUMPS: usize = 15;

/// That a packet meets no more jumps within each other than the kernel takes, in a table of
/// iptables-restore's.
fn check_depth(text: &str) -> Result<(), String> {
    let mut jumps: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("-A ")) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [.., "-j", to] = words.as_slice() {
            jumps.entry(words[1]).or_default().insert(to);
        }
    }
    let mut reached: BTreeSet<&str> = jumps.keys().copied().collect();
    for _ in 0..=MOST_JUMPS {
        let next = reached.iter().filter_map(|chain| jumps.get(chain));
        reached = next.flatten().copied().collect();
    }
    // A built-in target is no chain, and a jump to it is none.
    match reached
        .into_iter()
        .find(|name| text.contains(&format!("\n:{name} ")))
    {
        Some(chain) => Err(format!("chain {chain} is behind too many jumps")),
        None => Ok(()),
    }
}

/// That a family's rules hold no stranger's word and come back as they are.
fn check(ruleset: &Ruleset) -> Result<(), String> {
    let tables: Vec<TableName> = ruleset.tables().map(|(name, _)| name).collect();
    for table in &tables {
        check_depth(&restore_text(ruleset, &[*table]))?;
    }
    let text = restore_text(ruleset, &tables);
    check_text(ruleset, &text)?;
    let back = parse(&text).map_err(|error| error.to_string())?;
    let again = restore_text(&back, &tables);
    if again != text {
        return Err(format!(
            "rendered again it is another text:\n{again}\nnot\n{text}"
        ));
    }
    let found = differences(ruleset, &back);
    match found.first() {
        Some(difference) => Err(format!("read back it differs: {difference}")),
        None => Ok(()),
    }
}

/// The same of both families.
pub fn check_plan(plan: &Plan) -> Result<(), String> {
    check(&plan.rules.v4)?;
    check(&plan.rules.v6)
}
