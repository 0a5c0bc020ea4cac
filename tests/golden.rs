//! What each configuration of tests/golden compiles to, byte for byte.
//!
//! `UPDATE=1 cargo test` writes what it finds; read the difference before you
//! commit it. The namespace tests feed every golden to iptables-restore.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use camfw::cli::show;
use camfw::policy::Answers;
use camfw::source::Source;

const GOLDEN: usize = 25;
const REFUSED: usize = 259;

fn cases(folder: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut cases: Vec<PathBuf> = fs::read_dir(root)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    cases.sort();
    Ok(cases)
}

/// Holds `text` against a file; whether they are the same.
fn same(path: &Path, text: &str) -> Result<bool, Box<dyn Error>> {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, text)?;
    }
    let expected =
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if expected != text {
        println!("{} differs; this is what came out:\n{text}", path.display());
    }
    Ok(expected == text)
}

/// The case's configuration: `config.toml`, and its drop-ins where it has some.
fn source(case: &Path) -> Result<Source, Box<dyn Error>> {
    let text = fs::read_to_string(case.join("config.toml"))?;
    let mut source = Source::new("config.toml", text);
    let folder = case.join("config.d");
    if folder.is_dir() {
        let mut drop_ins = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        drop_ins.sort();
        for path in drop_ins {
            let name = path.strip_prefix(case)?.display().to_string();
            source = source.with(name, fs::read_to_string(&path)?);
        }
    }
    Ok(source)
}

#[test]
fn goldens() -> Result<(), Box<dyn Error>> {
    let cases = cases("golden")?;
    assert_eq!(
        cases.len(),
        GOLDEN,
        "cases were added or lost; change the number"
    );
    let mut all_same = true;
    for case in &cases {
        let plan = camfw::plan(&source(case)?, &Answers::new())?;
        for (name, text) in [
            ("v4.rules", show::rules(&plan.ipv4)),
            ("v6.rules", show::rules(&plan.ipv6)),
            ("network.txt", show::network(&plan)),
            ("sysctls.txt", show::sysctls(&plan)),
        ] {
            all_same &= same(&case.join(name), &text)?;
        }
    }
    assert!(all_same);
    Ok(())
}

#[test]
fn refusals() -> Result<(), Box<dyn Error>> {
    let cases = cases("refuse")?;
    assert_eq!(
        cases.len(),
        REFUSED,
        "cases were added or lost; change the number"
    );
    let mut all_same = true;
    for case in &cases {
        let error = match camfw::plan(&source(case)?, &Answers::new()) {
            Ok(_) => format!("{} was accepted", case.display()),
            Err(refusal) => refusal.to_string(),
        };
        assert!(
            error.starts_with("config.toml:") || error.starts_with("config.d/"),
            "{}: {error}",
            case.display()
        );
        assert_eq!(error.lines().count(), 1, "{error:?}");
        all_same &= same(&case.join("error.txt"), &(error + "\n"))?;
    }
    assert!(all_same);
    Ok(())
}
