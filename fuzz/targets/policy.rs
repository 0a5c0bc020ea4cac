//! Configurations that are good but for one string, which is anything: the same.

#![no_main]

use camfw::policy::Answers;
use camfw::source::Source;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/generate/check.rs"]
mod check;
#[path = "../../tests/generate/mod.rs"]
mod generate;

use generate::{Options, Replacement};

fuzz_target!(|given: (u8, &str, &[u8])| {
    let (place, text, choices) = given;
    let replacement = Replacement {
        place: place.into(),
        text,
    };
    let options = Options { dhcp: true };
    let text = generate::config(choices, options, Some(replacement));
    if let Ok(plan) = camfw::plan(&Source::new("camfw.toml", text.as_str()), &Answers::new())
        && let Err(what) = check::check_plan(&plan)
    {
        panic!("{what}\n{text}");
    }
});
