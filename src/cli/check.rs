//! `camfw check`: is the file good?

use std::path::Path;

use super::{REFUSED, complain, print};
use crate::{apply, policy};

pub fn run(config: &Path) -> u8 {
    match apply::read_plan(config) {
        Ok(plan) => {
            for warning in policy::warnings(&plan.policy) {
                complain(&warning.to_string());
            }
            print(&format!("{}: good\n", config.display()))
        }
        Err(refusal) => {
            complain(&refusal.to_string());
            REFUSED
        }
    }
}
