//! `camfw check`: is the file good?

use std::path::Path;

use super::args::DEFAULT_CONFIG;
use super::{FAILED, REFUSED, complain, print};
use crate::host::config_file::Purpose;
use crate::{apply, policy, prove};

pub fn run(config: &Path) -> u8 {
    match apply::read_plan(config, Purpose::Ask) {
        Ok(plan) => {
            if let Some(why) = prove::broken(&plan.policy, &plan.rules) {
                complain(&why);
                return FAILED;
            }
            for warning in policy::warnings(&plan.policy) {
                complain(&warning.to_string());
            }
            warn_of_its_keeper(config);
            print(&format!("{}: good\n", config.display()))
        }
        Err(refusal) => {
            complain(&refusal.to_string());
            REFUSED
        }
    }
}

/// What a boot reads has to be root's as well, which other files need not be.
fn warn_of_its_keeper(config: &Path) {
    if config != Path::new(DEFAULT_CONFIG) {
        return;
    }
    if let Err(refusal) = apply::read_plan(config, Purpose::Load) {
        complain(&format!("{refusal}; until then apply and boot refuse it"));
    }
}
