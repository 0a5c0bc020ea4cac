//! `camfw check`: is the file good?

use std::path::Path;

use super::{FAILED, REFUSED, complain, print};
use crate::{apply, policy, prove};

pub fn run(config: &Path) -> u8 {
    match apply::read_plan(config) {
        Ok(plan) => {
            if let Some(why) = prove::broken(&plan) {
                complain(&why);
                return FAILED;
            }
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
