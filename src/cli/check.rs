//! `camfw check`: is the file good?

use std::path::Path;

use super::{REFUSED, complain, print};
use crate::host::config_file;

pub fn run(config: &Path) -> u8 {
    match config_file::read(config).and_then(|source| crate::plan(&source)) {
        Ok(_) => print(&format!("{}: good\n", config.display())),
        Err(refusal) => {
            complain(&refusal.to_string());
            REFUSED
        }
    }
}
