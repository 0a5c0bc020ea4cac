//! Writes generated configurations into a folder, for tests that load them:
//! `generate COUNT FOLDER`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use camfw::policy::Answers;
use camfw::source::Source;

#[path = "mod.rs"]
mod generate;

/// Bytes of xorshift64*, the same on each run.
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::new();
    while bytes.len() < 1500 {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes());
    }
    bytes
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(count), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generate COUNT FOLDER".into());
    };
    let (count, folder): (usize, PathBuf) = (count.parse()?, folder.into());
    let good = (1..).map(|seed| generate::config(&bytes(seed), generate::Options::default(), None));
    let good = good.filter(|text| {
        let source = Source::new("generated.toml", text.as_str());
        camfw::plan(&source, &Answers::new()).is_ok()
    });
    for (number, text) in good.take(count).enumerate() {
        fs::write(folder.join(format!("{number:03}.toml")), text)?;
    }
    Ok(())
}
