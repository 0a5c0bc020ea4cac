//! Any text as anyone's rules: what they mean is found without a panic, and what
//! is not known stays in doubt.

#![no_main]

use camfw::family::IpFamily;
use camfw::netfilter::{family_of_dump, read};
use camfw::prove;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(ruleset) = read(text) else {
        return;
    };
    let family = family_of_dump(text).ok().flatten().unwrap_or(IpFamily::V4);
    let Ok(networks) = prove::networks("eth0 10.0.0.0/8 fd00::/8\nlo 10.0.0.1\n") else {
        return;
    };
    prove::unknown(&ruleset, family);
    prove::findings(&ruleset, family, &networks, None);
    prove::matrix(&ruleset, family, &networks, &prove::MatrixQuestion::default());
    // To itself nothing changes.
    assert!(!prove::differ(&ruleset, &ruleset, family));
});
