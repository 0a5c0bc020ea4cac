//! What `camfw check` says of each configuration of tests/warn: what is accepted
//! and probably not meant, and nothing of what is.
//!
//! `UPDATE=1 cargo test` writes what it finds.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const CASES: usize = 16;

/// A copy that nobody else can write, whatever the checkout's modes are.
fn copied(case: &Path, to: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let config = to.join("config.toml");
    let folder = to.join("config.d");
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o755))?;
    let mut files = vec![(case.join("config.toml"), config.clone())];
    if case.join("config.d").is_dir() {
        for entry in fs::read_dir(case.join("config.d"))? {
            let entry = entry?;
            files.push((entry.path(), folder.join(entry.file_name())));
        }
    }
    for (from, to) in files {
        fs::write(&to, fs::read(from)?)?;
        fs::set_permissions(&to, PermissionsExt::from_mode(0o644))?;
    }
    Ok(config)
}

#[test]
fn warnings() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/warn");
    let mut cases = fs::read_dir(root)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    cases.sort();
    assert_eq!(cases.len(), CASES, "cases were added or lost");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("warnings");
    let mut all_same = true;
    for case in &cases {
        let name = case.file_name().unwrap_or_default();
        let config = copied(case, &scratch.join(name))?;
        let run = Command::new(env!("CARGO_BIN_EXE_camfw"))
            .arg("--config")
            .arg(&config)
            .arg("check")
            .output()?;
        assert_eq!(run.status.code(), Some(0), "{}: {run:?}", case.display());
        let good = format!("{}: good\n", config.display());
        assert_eq!(String::from_utf8(run.stdout)?, good);
        let said = String::from_utf8(run.stderr)?;
        let wanted = case.join("warnings.txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&wanted, &said)?;
        }
        if fs::read_to_string(&wanted)? != said {
            println!(
                "{} differs; this is what came out:\n{said}",
                wanted.display()
            );
            all_same = false;
        }
    }
    assert!(all_same);
    fs::remove_dir_all(scratch)?;
    Ok(())
}
