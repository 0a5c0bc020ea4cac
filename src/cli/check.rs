//! `camfw check`: is the file good?

use std::path::Path;

use super::{REFUSED, complain, print};
use crate::apply;

pub fn run(config: &Path) -> u8 {
    match apply::read_plan(config) {
        Ok(_) => print(&format!("{}: good\n", config.display())),
        Err(refusal) => {
            complain(&refusal.to_string());
            REFUSED
        }
    }
}
