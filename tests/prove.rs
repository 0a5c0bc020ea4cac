//! What is proven of each golden, and what is found where something is wrong.

use std::error::Error;
use std::fs;
use std::path::Path;

use camfw::policy::Answers;
use camfw::prove;
use camfw::source::Source;

#[test]
fn every_golden_is_proven() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut proven = 0;
    let mut broken = Vec::new();
    for case in fs::read_dir(root)? {
        let case = case?.path();
        let text = fs::read_to_string(case.join("config.toml"))?;
        let source = Source::new("config.toml", text);
        let plan = camfw::plan(&source, &Answers::new())?;
        for claim in prove::claims(&plan.policy, &plan.ipv4, &plan.ipv6) {
            if !claim.answer.holds() {
                broken.push(format!("{}: {claim}", case.display()));
            }
            proven += 1;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(proven > 100, "{proven}");
    Ok(())
}
