//! What each configuration of tests/golden compiles to, byte for byte; how each
//! of tests/refuse is refused; what `camfw check` warns of in each of tests/warn.
//!
//! Each case is a test with its folder's name: `cargo test zone-name-too-long`.
//! `UPDATE=1 cargo test` writes what it finds; read the difference before you
//! commit it. The namespace tests feed every golden to iptables-restore.

mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use camfw::cli::show;
use camfw::plan::Plan;
use camfw::policy::Answers;
use camfw::source::Refusal;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::from_args();
    let mut tests = cases("golden", compiles)?;
    tests.extend(cases("refuse", is_refused)?);
    tests.extend(cases("warn", is_warned_of)?);
    Ok(libtest_mimic::run(&arguments, tests).exit_code())
}

/// A test for each folder of a kind: `refuse::zone-name-too-long`.
fn cases(
    kind: &str,
    test: fn(&Path) -> Result<(), Box<dyn Error>>,
) -> Result<Vec<Trial>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(kind);
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)
        .and_then(|entries| entries.map(|entry| entry.map(|it| it.path())).collect())
        .map_err(|error| format!("{}: {error}", root.display()))?;
    folders.sort();
    if folders.is_empty() {
        return Err(format!("{}: no cases", root.display()).into());
    }
    let trials = folders.into_iter().map(|case| {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        Trial::test(format!("{kind}::{name}"), move || {
            test(&case).map_err(|error| Failed::from(error.to_string()))
        })
    });
    Ok(trials.collect())
}

/// Its rules, its network and its settings are as written.
fn compiles(case: &Path) -> Result<(), Box<dyn Error>> {
    let plan = plan(case)?;
    let mut differences = String::new();
    for (name, text) in [
        ("v4.rules", show::rules(&plan.rules.v4)),
        ("v6.rules", show::rules(&plan.rules.v6)),
        ("network.txt", show::network(&plan)),
        ("sysctls.txt", show::sysctls(&plan)),
    ] {
        if let Err(difference) = holds(&case.join(name), &text) {
            writeln!(differences, "{difference}")?;
        }
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(differences.into()),
    }
}

/// The plan of a case, in November 2026.
fn plan(case: &Path) -> Result<Plan, Refusal> {
    let source = support::case_source(case);
    let source = source.map_err(|error| Refusal::unread("config.toml", error))?;
    camfw::plan_at(&source, &Answers::new(), &support::local_time)
}

/// It is refused in a line for each mistake, which names the place in the file.
fn is_refused(case: &Path) -> Result<(), Box<dyn Error>> {
    let Err(refusal) = plan(case) else {
        return Err("it was accepted".into());
    };
    let mut errors = String::new();
    for error in refusal.lines() {
        let files = ["config.toml:", "config.d/", "/etc/camfw/"];
        if !files.iter().any(|file| error.starts_with(file)) {
            return Err(format!("it does not name its place: {error}").into());
        }
        if error.lines().count() != 1 {
            return Err(format!("it is not one line: {error:?}").into());
        }
        errors += &(error + "\n");
    }
    holds(&case.join("error.txt"), &errors)
}

/// It is good, with what is probably not meant, and nothing of what is.
fn is_warned_of(case: &Path) -> Result<(), Box<dyn Error>> {
    let name = case.file_name().unwrap_or_default();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("warn")
        .join(name);
    let config = copied(case, &scratch)?;
    let run = Command::new(env!("CARGO_BIN_EXE_camfw"))
        .arg("--config")
        .arg(&config)
        .arg("check")
        .output()?;
    let good = format!("{}: good\n", config.display());
    let said = String::from_utf8(run.stdout.clone())?;
    let mut others = said.strip_suffix(&good).unwrap_or(&said).lines();
    // What else it says are the zones' bounds.
    let others = others.all(|line| line.starts_with("bound of "));
    if run.status.code() != Some(0) || !said.ends_with(&good) || !others {
        return Err(format!("check says that it is not good: {run:?}").into());
    }
    holds(&case.join("warnings.txt"), &String::from_utf8(run.stderr)?)?;
    fs::remove_dir_all(scratch)?;
    Ok(())
}

/// A copy that nobody else can write, whatever the checkout's modes are.
fn copied(case: &Path, to: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let config = to.join("config.toml");
    let mut files = vec![(case.join("config.toml"), config.clone())];
    for folder in ["config.d", "config.toml.d"] {
        let (from, to) = (case.join(folder), to.join(folder));
        if !from.is_dir() {
            continue;
        }
        fs::create_dir_all(&to)?;
        fs::set_permissions(&to, PermissionsExt::from_mode(0o755))?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            files.push((entry.path(), to.join(entry.file_name())));
        }
    }
    fs::create_dir_all(to)?;
    fs::set_permissions(to, PermissionsExt::from_mode(0o755))?;
    for (from, to) in files {
        fs::write(&to, fs::read(from)?)?;
        fs::set_permissions(&to, PermissionsExt::from_mode(0o644))?;
    }
    Ok(config)
}

/// Holds `text` against a file, or writes it there if that was asked for.
fn holds(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, text)?;
    }
    let expected =
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match expected == text {
        true => Ok(()),
        false => Err(format!("{} differs; this is what came out:\n{text}", path.display()).into()),
    }
}
