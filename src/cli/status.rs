//! `camfw status`: does the kernel hold what the file says?

use std::path::Path;

use super::{complain, print};
use crate::apply::{self, Outcome};

pub fn run(config: &Path) -> u8 {
    let outcome = apply::status(config);
    match &outcome {
        Outcome::Refused(why) => complain(why),
        Outcome::Drift(found) => {
            print(&format!("{outcome}\n"));
            for difference in found {
                print(&format!("{difference}\n"));
            }
        }
        _ => {
            print(&format!("{outcome}\n"));
        }
    }
    outcome.exit_code()
}
