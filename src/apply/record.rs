//! What is in force, stored for the next command and for `status`.
//!
//! Owns the file: versioned JSON in /run, which disappears on reboot just as the
//! kernel's tables do. A file that is damaged or has another version is never read as a
//! state: it gives `Unknown`.

use super::last_good;
use super::seal_mark::Mark;
use super::state::InForce;
use crate::host::store::{self, StoreError, StorePlace};
use crate::host::{self, clock};
use crate::json::{JsonError, JsonMembers, json_object, to_json};
use crate::snapshot::PolicySnapshot;

const NAME: &str = "state.json";
const VERSION: u64 = 1;

/// Tolerance when comparing times, in seconds: uptime is printed with two decimals.
const CLOCK_STEP: f64 = 0.1;

/// The format of the file.
#[derive(Debug)]
struct StateFile {
    version: u64,
    /// When the state was entered, in seconds since the kernel started.
    at: f64,
    in_force: InForce,
}

json_object!(StateFile {
    version,
    at,
    in_force
});

impl StateFile {
    fn parse(text: &str) -> Result<StateFile, JsonError> {
        let mut members = JsonMembers::parse(text)?;
        let file = StateFile {
            version: members.needed("version")?,
            at: members.needed("at")?,
            in_force: InForce::read(members.needed("in_force")?)?,
        };
        members.end()?;
        Ok(file)
    }
}

/// What is in force, and since when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// When the state was entered, in seconds since the kernel started; None if
    /// unknown.
    pub(crate) at: Option<f64>,
    /// The state.
    pub(crate) in_force: InForce,
}

impl Record {
    /// Reads the state. A box that is marked as sealed is sealed, whatever the record
    /// says.
    pub(crate) fn read() -> Record {
        let noted = Record::noted();
        match noted.in_force {
            InForce::Sealed { .. } | InForce::Unsealed { .. } => noted,
            _ if Mark::is_set() => Record {
                at: None,
                in_force: InForce::sealed(),
            },
            _ => noted,
        }
    }

    /// The state as last recorded by a command that had the lock.
    pub(crate) fn noted() -> Record {
        let why = match Record::try_read() {
            Ok(Some(record)) => return record,
            Ok(None) => None,
            Err(why) => {
                let folder = StorePlace::Run.folder();
                Some(format!("{folder}/{NAME} cannot be used: {why}"))
            }
        };
        Record {
            at: None,
            in_force: InForce::Unknown { why },
        }
    }

    fn try_read() -> Result<Option<Record>, NotAState> {
        let text = store::read(StorePlace::Run, NAME)?;
        text.map(|text| parse(&text, clock::uptime())).transpose()
    }

    /// Restores this record.
    ///
    /// # Errors
    /// Returns an error if it cannot be written.
    pub(crate) fn put_back(&self) -> Result<(), RecordError> {
        match self.at {
            Some(at) => write_at(at, &self.in_force),
            None => store::remove(StorePlace::Run, NAME).map_err(RecordError::new),
        }
    }

    /// The policy that is in force, if it is stored.
    pub(crate) fn policy(&self) -> Option<PolicySnapshot> {
        let hash = self.in_force.policy()?;
        last_good::all().find(|kept| kept.hash() == *hash)
    }
}

/// Why what is counted and recorded says nothing: no policy is in force. None if one is, or
/// if this user may not know it.
pub(crate) fn not_in_force() -> Option<String> {
    let state = Record::read().in_force;
    let is_none = host::is_root() && state.policy().is_none();
    is_none.then(|| format!("no policy is in force ({state}); camfw apply brings one in"))
}

/// Why the state could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep what is in force in {}; status will not know it", StorePlace::Run.folder())]
pub(crate) struct RecordError {
    #[source]
    error: StoreError,
}

impl RecordError {
    pub(super) fn new(error: StoreError) -> RecordError {
        RecordError { error }
    }
}

/// Records what is in force. If the state is unchanged, so is the time it was entered.
///
/// # Errors
/// Returns an error if it cannot be written.
pub(crate) fn write(in_force: &InForce) -> Result<(), RecordError> {
    if Record::noted().in_force == *in_force {
        return Ok(());
    }
    write_at(clock::uptime(), in_force)
}

fn write_at(at: f64, in_force: &InForce) -> Result<(), RecordError> {
    let file = StateFile {
        version: VERSION,
        at,
        in_force: in_force.clone(),
    };
    store::write(StorePlace::Run, NAME, &(to_json(&file) + "\n")).map_err(RecordError::new)
}

/// Why the file does not parse as a state.
#[derive(Debug, thiserror::Error)]
enum NotAState {
    #[error(transparent)]
    Unreadable(#[from] StoreError),
    #[error(transparent)]
    Torn(#[from] JsonError),
    #[error("its version is {0}, not {VERSION}")]
    Version(u64),
    #[error("it was not written since the kernel started")]
    OfAnotherBoot,
    #[error("its deadline cannot be that of an apply")]
    Deadline,
}

fn parse(text: &str, now: f64) -> Result<Record, NotAState> {
    let file: StateFile = StateFile::parse(text)?;
    if file.version != VERSION {
        return Err(NotAState::Version(file.version));
    }
    if !(0.0..=now + CLOCK_STEP).contains(&file.at) {
        return Err(NotAState::OfAnotherBoot);
    }
    if !file.in_force.is_possible(now + CLOCK_STEP) {
        return Err(NotAState::Deadline);
    }
    Ok(Record {
        at: Some(file.at),
        in_force: file.in_force,
    })
}

#[cfg(test)]
mod tests {
    use super::super::state::Trial;
    use super::*;
    use crate::source::Source;

    fn pending() -> InForce {
        let source = Source::new("f", "abc");
        let trial = Trial {
            token: "1-2.5".into(),
            deadline: 130.5,
            seconds: 60,
        };
        InForce::pending(PolicySnapshot { source }.hash(), trial)
    }

    fn text(in_force: InForce) -> String {
        to_json(&StateFile {
            version: VERSION,
            at: 70.5,
            in_force,
        })
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_torn_does_not() -> Result<(), Box<dyn std::error::Error>>
    {
        for in_force in [
            pending(),
            pending().not_forwarding("why"),
            pending().sealed_because("why"),
            pending().sealed_by_links("why"),
            pending().confirmed().ok_or("it is pending")?,
            InForce::sealed(),
            InForce::Open,
        ] {
            let text = text(in_force.clone());
            assert_eq!(parse(&text, 80.0)?.in_force, in_force);
            for end in 0..text.len() {
                assert!(parse(&text[..end], 80.0).is_err(), "cut off at {end}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_file_that_does_not_say_how_it_was_sealed_is_read() -> Result<(), Box<dyn std::error::Error>>
    {
        let state = InForce::sealed().sealed_because("why");
        let now = text(state.clone());
        let before = now.replace("\"how\":\"tables\",", "");
        assert_ne!(before, now);
        assert_eq!(parse(&before, 80.0)?.in_force, state);
        Ok(())
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let whole = text(pending());
        assert!(parse(&whole, 80.0).is_ok());
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("130.5", "inf"),
            ("130.5", "1e400"),
            ("130.5", "1e300"),
            ("130.5", "-1"),
            ("130.5", "null"),
            ("\"seconds\":60", "\"seconds\":99999999"),
            ("\"pending\"", "\"confirmed\""),
            ("\"at\":70.5", "\"at\":7000"),
            ("\"missing\":[]", "\"missing\":[],\"more\":1"),
            ("\"missing\":[]", "\"missing\":[],\"missing\":[]"),
        ] {
            let changed = whole.replace(from, to);
            assert_ne!(changed, whole, "{from}");
            assert!(parse(&changed, 80.0).is_err(), "{to}");
        }
    }
}
