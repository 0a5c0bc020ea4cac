//! docs/configuration.md has every key, and no key that there is not: what serde
//! says to an unknown key is held against the tables of the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use camfw::config::Config;
use camfw::source::Source;

/// Where a table of the reference is: the heading's words, and which of the
/// tables under it.
type Place = (&'static str, usize);

/// A configuration with the key `zzzzzz` in some table, and where the keys of
/// that table are.
const TABLES: &[(&str, Place)] = &[
    ("[zones.z]\nzzzzzz = 1", ("`[zones.NAME]`", 0)),
    ("[zones.z]\ninterface = { zzzzzz = 1 }", ("interfaces", 0)),
    ("[zones.z]\nbound = { zzzzzz = 1 }", ("bounds", 0)),
    ("[[cameras]]\nzzzzzz = 1", ("`[[cameras]]`", 0)),
    ("[[allow]]\nzzzzzz = 1", ("`[[allow]]`", 0)),
    (
        "[[allow]]\nblock-after = { zzzzzz = 1 }",
        ("`[[allow]]`", 1),
    ),
    ("[[allow]]\nwhen = { zzzzzz = 1 }", ("`[[allow]]`", 2)),
    ("[[deny]]\nzzzzzz = 1", ("`[[deny]]`", 0)),
    ("[[exceptions]]\nzzzzzz = 1", ("`[[exceptions]]`", 0)),
    ("[[guarantees]]\nzzzzzz = 1", ("`[[guarantees]]`", 0)),
    (
        "[[guarantees]]\nnever = { zzzzzz = 1 }",
        ("`[[guarantees]]`", 1),
    ),
    (
        "[[guarantees]]\nalways = { zzzzzz = 1 }",
        ("`[[guarantees]]`", 1),
    ),
    ("[services.s]\nzzzzzz = 1", ("`[services.NAME]`", 0)),
    (
        "[[allow]]\nservice = { zzzzzz = 1 }",
        ("`[services.NAME]`", 0),
    ),
    (
        "[[masquerade]]\nzzzzzz = 1",
        ("`[[masquerade]]`, `[[snat]]`", 0),
    ),
    ("[[snat]]\nzzzzzz = 1", ("`[[masquerade]]`, `[[snat]]`", 1)),
    ("[[forwards]]\nzzzzzz = 1", ("`[[forwards]]`", 0)),
    ("[[proxy]]\nzzzzzz = 1", ("`[[proxy]]`", 0)),
    ("[[redirects]]\nzzzzzz = 1", ("`[[redirects]]`", 0)),
    ("[[routes]]\nzzzzzz = 1", ("`[[routes]]`, `[[marks]]`", 0)),
    ("[[marks]]\nzzzzzz = 1", ("`[[routes]]`, `[[marks]]`", 1)),
    ("[router]\nzzzzzz = 1", ("`[router]`", 0)),
    ("[ipv6]\nzzzzzz = 1", ("`[ipv6]`", 0)),
    ("[log]\nzzzzzz = 1", ("`[log]`", 0)),
    ("[page]\nzzzzzz = 1", ("`[page]`", 0)),
    ("[watch]\nzzzzzz = 1", ("`[watch]`", 0)),
    ("[names]\nzzzzzz = 1", ("`[names]`", 0)),
];

/// The keys that are offered in place of `zzzzzz`, which is near none.
fn expected(config: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let refusal = match Config::parse(&Source::new("c", config)) {
        Ok(_) => return Err(format!("{config:?} was accepted").into()),
        Err(refusal) => refusal,
    };
    let mut lines = refusal.lines();
    let list = lines.find_map(|line| Some(line.split_once("; use one of ")?.1.to_owned()));
    let list = list.ok_or_else(|| format!("{config:?}: {refusal}"))?;
    Ok(list.split(", ").map(str::to_owned).collect())
}

/// Those of `[mail]`, which the configuration reads as any keys.
fn expected_of_mail() -> Result<BTreeSet<String>, Box<dyn Error>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refuse/mail-unknown-key/error.txt");
    let told = fs::read_to_string(path)?;
    let list = told
        .lines()
        .find_map(|line| line.split_once("; use one of "));
    let (_, list) = list.ok_or("no list of the keys of [mail]")?;
    Ok(list.split(", ").map(str::to_owned).collect())
}

/// The rows of a table, cell by cell.
type Table = Vec<Vec<String>>;

/// The tables under each heading, without their own headings.
fn tables(reference: &str) -> BTreeMap<String, Vec<Table>> {
    let mut found: BTreeMap<String, Vec<Table>> = BTreeMap::new();
    let mut heading = String::new();
    let mut in_table = false;
    for line in reference.lines() {
        if let Some(words) = line.strip_prefix('#') {
            heading = words.trim_start_matches('#').trim().to_owned();
        }
        let row = line.starts_with('|');
        if row && !in_table {
            found.entry(heading.clone()).or_default().push(Vec::new());
        } else if row && !line.starts_with("|---") {
            let inner = line.trim().trim_start_matches('|');
            let inner = inner.strip_suffix('|').unwrap_or(inner);
            let cells = inner.split('|').map(|cell| cell.trim().to_owned());
            let tables = found.entry(heading.clone()).or_default();
            if let Some(table) = tables.last_mut() {
                table.push(cells.collect());
            }
        }
        in_table = row;
    }
    found
}

fn reference() -> Result<BTreeMap<String, Vec<Table>>, Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    Ok(tables(&fs::read_to_string(path)?))
}

fn keys(table: &Table) -> BTreeSet<String> {
    let first = table.iter().filter_map(|row| row.first());
    first
        .map(|cell| cell.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn every_key_is_in_the_reference() -> Result<(), Box<dyn Error>> {
    let reference = reference()?;
    for (config, (heading, number)) in TABLES {
        let table = reference
            .get(*heading)
            .and_then(|tables| tables.get(*number))
            .ok_or_else(|| format!("no table {number} under {heading}"))?;
        assert_eq!(keys(table), expected(config)?, "{heading}, {config:?}");
    }
    let of_mail = reference.get("`[mail]`").and_then(|tables| tables.first());
    assert_eq!(
        keys(of_mail.ok_or("no table of [mail]")?),
        expected_of_mail()?
    );
    Ok(())
}

#[test]
fn every_table_of_the_file_has_a_heading() -> Result<(), Box<dyn Error>> {
    let reference = reference()?;
    for key in expected("zzzzzz = 1")? {
        let forms = [
            format!("`{key}`"),
            format!("`[{key}]`"),
            format!("`[{key}.NAME]`"),
            format!("`[[{key}]]`"),
        ];
        let there = reference
            .keys()
            .any(|heading| forms.iter().any(|form| heading.contains(form)));
        assert!(there, "no heading for {key}");
    }
    Ok(())
}

/// A camera's own lines have the keys of `[[allow]]`, but for who it is from.
#[test]
fn a_cameras_lines_are_allow_lines() -> Result<(), Box<dyn Error>> {
    let mut keys = expected("[[allow]]\nzzzzzz = 1")?;
    assert!(keys.remove("from") && keys.remove("source"));
    assert_eq!(expected("[[cameras]]\nallow = [{ zzzzzz = 1 }]")?, keys);
    Ok(())
}

/// The reference lists the catalogue as `camfw show services` does.
#[test]
fn every_service_is_in_the_reference() -> Result<(), Box<dyn Error>> {
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_camfw"))
        .args(["show", "services"])
        .output()?;
    let shown = String::from_utf8(run.stdout)?;
    let names = shown.lines().filter_map(|line| line.split(' ').next());
    let names: Vec<&str> = names.collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let reference = fs::read_to_string(path)?;
    let (_, list) = reference
        .split_once("prints the catalogue with its ports:\n\n")
        .ok_or("no catalogue")?;
    let (list, _) = list.split_once(".\n\n").ok_or("no end")?;
    let listed = list.split([',', '\n']).map(str::trim);
    let listed = listed.map(|name| name.split(' ').next().unwrap_or_default());
    let listed: Vec<&str> = listed.filter(|name| !name.is_empty()).collect();
    assert_eq!(listed, names);
    assert!(names.len() > 40, "{}", names.len());
    Ok(())
}

/// Type, values and an example for each key.
#[test]
fn every_row_is_whole() -> Result<(), Box<dyn Error>> {
    let mut rows = 0;
    for (heading, tables) in reference()? {
        for row in tables.iter().flatten() {
            rows += 1;
            assert_eq!(row.len(), 6, "{heading}: {row:?}");
            for (column, name) in [(0, "key"), (1, "type"), (3, "values"), (4, "example")] {
                assert!(!row[column].is_empty(), "{heading}: no {name} in {row:?}");
            }
        }
    }
    assert!(rows > 70, "{rows} rows");
    Ok(())
}

/// Every error that the reference shows is one that a case of tests/refuse gets, but
/// for the values in it.
#[test]
fn every_error_of_the_reference_is_one_that_is_given() -> Result<(), Box<dyn Error>> {
    let refused = refusals()?;
    let mut shown = 0;
    let mut unknown = Vec::new();
    for (heading, tables) in reference()? {
        for row in tables.iter().flatten() {
            let (Some(key), Some(cell)) = (row.first(), row.get(5)) else {
                continue;
            };
            // One word is a key or a table that has the same error.
            let errors = in_code(cell).into_iter();
            for error in errors.filter(|error| error.contains(' ')) {
                shown += 1;
                let pattern: Vec<&str> = error.split_whitespace().collect();
                let same = |refusal: &Vec<Word>| says_the_same(&pattern, refusal);
                if !refused.iter().any(same) {
                    unknown.push(format!("{heading}, {key}: {error}"));
                }
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "no case of tests/refuse gives this:\n{}",
        unknown.join("\n")
    );
    assert!(shown > 60, "{shown}");
    Ok(())
}

/// A word of a refusal, and whether it is a value of the case's own file.
struct Word {
    text: String,
    is_value: bool,
}

/// The words of every refusal of tests/refuse, without their place.
fn refusals() -> Result<Vec<Vec<Word>>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refuse");
    let mut refusals = Vec::new();
    for case in fs::read_dir(root)? {
        let case = case?.path();
        let error = fs::read_to_string(case.join("error.txt"))?;
        let mut config = fs::read_to_string(case.join("config.toml"))?;
        for drop_in in fs::read_dir(case.join("config.d")).into_iter().flatten() {
            config += &fs::read_to_string(drop_in?.path())?;
        }
        let bare = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            word.strip_suffix("'s").unwrap_or(word).to_owned()
        };
        for line in error.lines() {
            let (_, what) = line.split_once(": ").ok_or("no place")?;
            let words = what.split_whitespace().map(|word| Word {
                text: word.to_owned(),
                is_value: word.contains(|c: char| c.is_ascii_digit() || c == '"')
                    || (!bare(word).is_empty() && is_value(&config, &bare(word))),
            });
            refusals.push(words.collect());
        }
    }
    Ok(refusals)
}

/// Whether a file has a word as a value, or as a name that it gives a table.
fn is_value(config: &str, word: &str) -> bool {
    [format!("\"{word}\""), format!(".{word}]")]
        .iter()
        .any(|written| config.contains(written))
}

/// Whether an error as the reference has it is this refusal, but for values; `…`
/// stands for any words.
fn says_the_same(pattern: &[&str], refusal: &[Word]) -> bool {
    match (pattern.split_first(), refusal.split_first()) {
        (None, None) => true,
        (Some((shown, rest)), _) if shown.starts_with('…') => {
            (0..=refusal.len()).any(|skipped| says_the_same(rest, &refusal[skipped..]))
        }
        (Some((shown, rest)), Some((word, after))) => {
            (*shown == word.text || word.is_value) && says_the_same(rest, after)
        }
        _ => false,
    }
}

/// What a cell of the reference has in backticks.
fn in_code(cell: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), cell);
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].bytes().take_while(|b| *b == b'`').count();
        let fence = "`".repeat(ticks);
        let text = &rest[start + ticks..];
        let Some(end) = text.find(&fence) else {
            break;
        };
        found.push(text[..end].trim().to_owned());
        rest = &text[end + ticks..];
    }
    found
}
