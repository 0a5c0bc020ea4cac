//! What names of hosts resolved to, kept from one lookup to the next.
//!
//! What is open if the power goes: what the last answers opened. A lookup that
//! fails changes nothing; a boot does none.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use crate::host::names;
use crate::host::store::{self, Place};
use crate::name::HostName;
use crate::policy::Answers;

const NAME: &str = "hosts";

/// For how long a lookup is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Newest first: a disk may have turned read-only since.
const PLACES: [Place; 2] = [Place::Run, Place::Disk];

/// The last answers.
pub fn known() -> Answers {
    let texts = PLACES.map(|place| store::read(place, NAME).ok().flatten());
    let text = texts.into_iter().flatten().next().unwrap_or_default();
    text.lines().filter_map(answer).collect()
}

/// `NAME ADDRESS...`; a line that is not so is none.
fn answer(line: &str) -> Option<(HostName, Vec<IpAddr>)> {
    let mut words = line.split_ascii_whitespace();
    let name = HostName::try_from(words.next()?).ok()?;
    let addresses = words.map(str::parse).collect::<Result<Vec<IpAddr>, _>>();
    Some((name, addresses.ok()?))
}

/// Asks for these names, and keeps the answers beside the last ones to those
/// that have none now; why those have none.
pub fn ask(hosts: &[HostName]) -> Vec<String> {
    let mut answers = known();
    let mut problems = Vec::new();
    for (name, found) in names::resolve(hosts, PATIENCE) {
        let why = match found {
            Ok(addresses) if !addresses.is_empty() => {
                answers.insert(name, addresses);
                continue;
            }
            Ok(_) => "it has no address".to_owned(),
            Err(error) => error,
        };
        let until_then = match answers.contains_key(&name) {
            true => "its last addresses are used",
            false => "nothing is allowed by it",
        };
        problems.push(format!("{name} did not resolve: {why}; {until_then}"));
    }
    for problem in &problems {
        log::warn!("{problem}");
    }
    keep(&answers);
    problems
}

fn keep(answers: &Answers) {
    if *answers == known() {
        return;
    }
    let mut text = String::new();
    for (name, addresses) in answers {
        let _ = write!(text, "{name}");
        for address in addresses {
            let _ = write!(text, " {address}");
        }
        text.push('\n');
    }
    for place in PLACES {
        if let Err(error) = store::write(place, NAME, &text) {
            let (folder, cause) = (place.folder(), error.cause);
            log::warn!("cannot keep what names resolved to in {folder}: {cause}");
        }
    }
}
