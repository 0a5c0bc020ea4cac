//! Any text as a configuration: it is refused in one line, or its rules are made
//! of words that we write and are read back as they were.

#![no_main]

use camfw::policy::Answers;
use camfw::source::Source;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/generate/check.rs"]
mod check;

fuzz_target!(|text: &str| {
    match camfw::plan(&Source::new("camfw.toml", text), &Answers::new()) {
        Ok(plan) => {
            if let Err(what) = check::check_plan(&plan) {
                panic!("{what}");
            }
        }
        Err(refusal) => assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}"),
    }
});
