//! What tests of the program's commands share.

// Each test file has it for itself, and none needs all of it.
#![allow(dead_code, missing_docs)]

pub mod schema;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use camfw::host::zone_data::{self, Purpose};
use camfw::local_time::{LocalTime, UTC};
use camfw::source::Source;
use serde_json::Value;

/// JSON that is as its schema in docs/ says.
pub fn as_documented(said: &str, name: &str) -> Result<Value, Box<dyn Error>> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let text = fs::read_to_string(docs.join(format!("{name}.schema.json")))?;
    let value: Value = serde_json::from_str(said).map_err(|error| format!("{error}: {said}"))?;
    let found = schema::differences(&value, &serde_json::from_str(&text)?);
    assert!(found.is_empty(), "{name}: {found:?}: {said}");
    Ok(value)
}

/// A folder for a test's files; it goes with it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// With what is behind eth1 in `networks`.
    pub fn new(name: &str) -> Result<Scratch, std::io::Error> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("networks"), "eth1 192.168.8.0/24 fd00::/64\n")?;
        Ok(Scratch(folder))
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: &str) -> Result<(), std::io::Error> {
        fs::write(self.0.join(name), text)
    }

    /// The exit code and what was said, on stdout and on stderr.
    pub fn camfw(&self, arguments: &str) -> Result<(i32, String), Box<dyn Error>> {
        let output = Command::new(env!("CARGO_BIN_EXE_camfw"))
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().ok_or("killed")?;
        Ok((code, String::from_utf8(said)?))
    }

    /// The same of a shell command, in which `camfw` is the program.
    pub fn shell(&self, command: &str) -> Result<(i32, String), Box<dyn Error>> {
        let output = Command::new("bash")
            .args([
                "-c",
                &format!("camfw() {{ \"$CAMFW\" \"$@\"; }}; {command}"),
            ])
            .env("CAMFW", env!("CARGO_BIN_EXE_camfw"))
            .current_dir(&self.0)
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().ok_or("killed")?;
        Ok((code, String::from_utf8(said)?))
    }

    /// What `prove` says of a filter table that drops what comes in or across but
    /// for these rules, and of the tables before it, about spoofed sources.
    pub fn prove(
        &self,
        before: &str,
        rules: &str,
        more: &str,
    ) -> Result<(i32, String), Box<dyn Error>> {
        self.write(
            "rules",
            &format!(
                "{before}*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
            ),
        )?;
        let (code, said) =
            self.camfw(&format!("prove --rules rules --networks networks {more}"))?;
        let lines = said.split_inclusive('\n');
        let lines = lines.filter(|line| {
            ![
                "ICMP errors about connections",
                "ICMP errors are let through",
                "rules: taken for IPv4: ",
                "nothing is asked about ",
                "of networks in no rule",
            ]
            .iter()
            .any(|note| line.contains(note))
        });
        Ok((code, lines.collect()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The local time of a zone of tests/zoneinfo on 2026-11-26, by a program of that month.
pub fn local_time(zone: &str) -> Result<LocalTime, String> {
    if zone == UTC {
        return Ok(LocalTime::utc(1_793_491_200));
    }
    let data = zone_data::read_in(Path::new("tests/zoneinfo"), zone, Purpose::Ask)?;
    LocalTime::new(zone, &data, 1_795_730_400, 1_793_491_200).ok_or(format!("no time of {zone}"))
}

/// The case's configuration: `config.toml`, its drop-ins where it has some, and the lists of
/// addresses below `root`.
pub fn case_source(case: &Path) -> Result<Source, Box<dyn Error>> {
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
    let lists = case.join("root/etc/camfw");
    if lists.is_dir() {
        for entry in fs::read_dir(&lists)? {
            let path = entry?.path();
            let name = Path::new("/").join(path.strip_prefix(case.join("root"))?);
            source = source.with_list(name.display().to_string(), fs::read_to_string(&path)?);
        }
    }
    Ok(source)
}
