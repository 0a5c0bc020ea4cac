//! Each file of examples/ is good, proven, and gives no warning.

mod support;

use std::error::Error;
use std::fs;
use std::path::Path;

use camfw::policy::{Answers, warnings};
use camfw::prove;
use camfw::source::Source;
use support::local_time;

const EXAMPLES: usize = 8;

/// The list of addresses that one of them names.
const LIST: &str = "/etc/camfw/blocklist.txt";

#[test]
fn examples_hold() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut tried = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // The alerts are Prometheus': tests/netns/test_metrics.py.
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let source = Source::new(path.display().to_string(), fs::read_to_string(&path)?)
            .with_list(LIST, "192.0.2.0/24\n");
        // The names that one of them goes by resolve to something.
        let mut answers = Answers::new();
        for host in camfw::plan_at(&source, &answers, &local_time)?.policy.hosts {
            answers.insert(host, vec!["192.0.2.1".parse()?]);
        }
        let plan = camfw::plan_at(&source, &answers, &local_time)?;
        assert_eq!(
            prove::broken(&plan.policy, &plan.rules),
            None,
            "{}",
            path.display()
        );
        let warnings: Vec<String> = warnings(&plan.policy)
            .iter()
            .map(ToString::to_string)
            .filter(|line| !line.contains(" note: "))
            .collect();
        assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
        tried += 1;
    }
    assert_eq!(
        tried, EXAMPLES,
        "examples were added or lost; change the number"
    );
    Ok(())
}
