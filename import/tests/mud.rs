//! Each folder of tests/mud: what becomes of its mud.json is its drop-in.toml, which camfw takes beside base.toml.
//! `UPDATE=1 cargo test -p camfw-import` writes what changed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use camfw::policy::Answers;
use camfw::source::Source;
use camfw_import::mud::{Imported, NamesHere, import};

type Done = Result<(), Box<dyn Error>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mud")
}

fn names(local: Option<&str>) -> NamesHere {
    NamesHere {
        camera: "porch".to_owned(),
        external: "external".to_owned(),
        local: local.map(str::to_owned),
    }
}

fn of(case: &str, local: Option<&str>) -> Result<Imported, Box<dyn Error>> {
    let text = fs::read_to_string(folder().join(case).join("mud.json"))?;
    Ok(import(&text, &names(local))?)
}

/// The lists of tables of a drop-in go behind any other file.
fn is_taken(drop_in: &str) -> Done {
    let base = fs::read_to_string(folder().join("base.toml"))?;
    let source = Source::new("base.toml", format!("{base}\n{drop_in}"));
    camfw::plan(&source, &Answers::new()).map_err(|refusal| format!("{refusal}"))?;
    Ok(())
}

fn holds(case: &str, imported: &Imported) -> Done {
    let path = folder().join(case).join("drop-in.toml");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &imported.text)?;
    }
    assert_eq!(fs::read_to_string(&path)?, imported.text, "{case}");
    is_taken(&imported.text)
}

#[test]
fn a_camera_gets_its_lines() -> Done {
    let imported = of("camera", Some("home"))?;
    holds("camera", &imported)?;
    assert_eq!((imported.carried, imported.left_out), (15, 6));
    Ok(())
}

#[test]
fn nothing_is_opened_to_a_zone_that_was_not_named() -> Done {
    let imported = of("camera", None)?;
    assert!(!imported.text.contains("\"home\"") && !imported.text.contains("to = \"\""));
    assert_eq!((imported.carried, imported.left_out), (12, 9));
    is_taken(&imported.text)
}

#[test]
fn what_is_not_understood_opens_nothing() -> Done {
    let imported = of("hostile", Some("home"))?;
    holds("hostile", &imported)?;
    assert_eq!((imported.carried, imported.left_out), (0, 24));
    let lines = imported.text.lines();
    assert!(
        lines.clone().all(|line| line.starts_with('#')),
        "{}",
        imported.text
    );
    assert!(
        lines
            .flat_map(str::chars)
            .all(|c| c == ' ' || c.is_ascii_graphic())
    );
    Ok(())
}

#[test]
fn what_is_no_description_is_refused() {
    for (text, why) in [
        ("", "it is no JSON"),
        ("[]", "it has no ietf-mud:mud, which RFC 8520 asks for"),
        (
            r#"{"ietf-mud:mud": {}}"#,
            "its mud-version is null; 1 is known here",
        ),
        (
            r#"{"ietf-mud:mud": {"mud-version": 2}}"#,
            "its mud-version is 2; 1 is known here",
        ),
        (
            r#"{"ietf-mud:mud": {"mud-version": 1}}"#,
            "it has no ietf-access-control-list:acls, which RFC 8520 asks for",
        ),
        (
            r#"{"ietf-mud:mud": {"mud-version": 1, "from-device-policy": {"access-lists": {"access-list": [{"name": "a"}]}}},
                "ietf-access-control-list:acls": {"acl": []}}"#,
            "its policy names the access list \"a\", which it does not have",
        ),
    ] {
        let refused = import(text, &names(None)).map_err(|error| error.to_string());
        assert_eq!(refused.err().as_deref(), Some(why));
    }
}
