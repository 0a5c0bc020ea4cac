//! What holds for every configuration: no string of it gets into the rules
//! unchecked, and the rules are read back as they were written.

use std::collections::BTreeMap;
use std::error::Error;

use camfw::name::HostName;
use camfw::plan::Plan;
use camfw::policy::Answers;
use camfw::source::Source;
use proptest::prelude::*;

#[path = "generate/check.rs"]
mod check;
#[path = "generate/mod.rs"]
mod generate;

use check::check_plan;
use generate::{Options, Replacement};

fn answers() -> Result<Answers, Box<dyn Error>> {
    let mut answers: Answers = BTreeMap::new();
    let found = vec!["203.0.113.25".parse()?, "2001:db8::25".parse()?];
    answers.insert(HostName::try_from("smtp.example.org")?, found);
    Ok(answers)
}

fn plan(text: &str) -> Result<Plan, String> {
    let answers = answers().map_err(|error| error.to_string())?;
    camfw::plan(&Source::new("c.toml", text), &answers).map_err(|refusal| refusal.to_string())
}

/// Bytes enough for every choice of the largest configurations.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..1500)
}

/// What somebody may write where a name or an address belongs.
fn nasty() -> impl Strategy<Value = String> {
    let known = [
        "",
        " ",
        "\n",
        "\r\n",
        "\0",
        "\"",
        "'",
        "`",
        "\\",
        "-",
        "--",
        "-j",
        "-j ACCEPT",
        "!",
        "! eth0",
        "eth0\n-A INPUT -j ACCEPT",
        "\"\n-A INPUT -j ACCEPT\n#",
        "x -j ACCEPT",
        "x\tx",
        "$(id)",
        "`id`",
        ";id",
        "COMMIT",
        "\nCOMMIT\n",
        "*nat",
        ":x",
        "#",
        "%s%n",
        "../../etc",
        "a\u{200b}b",
        "\u{202e}x",
        "é",
        "０",
        "1.2.3.4 -j ACCEPT",
        "1.2.3.4/24\n",
        "0x7f000001",
        "::1%eth0",
        "::ffff:1.2.3.4",
        "1-2-3",
        "22 --dport 23",
        "mon-fri --contiguous",
        "08:00 -j ACCEPT",
        "6/minute -j ACCEPT",
        "10 minutes\n",
        "any",
        "router",
        "lo",
        "+",
        "eth+",
        "0",
        "-1",
    ];
    let known = proptest::sample::select(known.to_vec()).prop_map(str::to_owned);
    prop_oneof![known, "\\PC{0,40}", "[-a-z0-9 .:/!\"'\n\\\\]{0,40}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_are_of_known_words_and_come_back(bytes in bytes()) {
        let text = generate::config(&bytes, Options { dhcp: true }, None);
        if let Ok(plan) = plan(&text) {
            check_plan(&plan).map_err(|what| TestCaseError::fail(format!("{what}\n{text}")))?;
        }
    }

    #[test]
    fn no_string_gets_into_the_rules_unchecked(bytes in bytes(), place in 0usize..80, nasty in nasty()) {
        let replacement = Replacement { place, text: &nasty };
        let text = generate::config(&bytes, Options { dhcp: true }, Some(replacement));
        match plan(&text) {
            Ok(plan) => {
                check_plan(&plan).map_err(|what| TestCaseError::fail(format!("{what}\n{text}")))?;
            }
            Err(refusal) => {
                prop_assert!(!refusal.contains(|c: char| c.is_control()), "{refusal:?}");
                prop_assert!(refusal.starts_with("c.toml:"), "{refusal:?}");
            }
        }
    }

    #[test]
    fn any_text_is_refused_in_one_line_or_good(text in "\\PC{0,300}") {
        match plan(&text) {
            Ok(plan) => check_plan(&plan).map_err(TestCaseError::fail)?,
            Err(refusal) => prop_assert_eq!(refusal.lines().count(), 1),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_is_good_is_proven(bytes in bytes()) {
        let text = generate::config(&bytes, Options { dhcp: true }, None);
        if let Ok(plan) = plan(&text) {
            let broken = camfw::prove::broken(&plan.policy, &plan.rules);
            prop_assert!(broken.is_none(), "{}\n{text}", broken.unwrap_or_default());
        }
    }
}

/// So that what is above is of more than refusals.
#[test]
fn most_generated_configurations_are_good() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut good = 0;
    for _ in 0..300 {
        let Ok(tree) = bytes().new_tree(&mut runner) else {
            continue;
        };
        let bytes = proptest::strategy::ValueTree::current(&tree);
        match plan(&generate::config(&bytes, Options { dhcp: true }, None)) {
            Ok(_) => good += 1,
            Err(refusal) => {
                let what = refusal.splitn(4, ':').nth(3).unwrap_or_default();
                *refused.entry(what.to_owned()).or_default() += 1;
            }
        }
    }
    println!("{refused:#?}");
    assert!(good > 200, "{good} of 300 are good");
}
