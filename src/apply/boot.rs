//! `camfw boot`: closes the box before it reads any file, then opens what the file
//! allows. Falls back to the last good policy if the file cannot be used, or if it was
//! applied with `--confirm` and never confirmed.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::close::{ClosedTables, close_without_waiting, down_instead};
use super::enforce::enforce_closed;
use super::error::CommandError;
use super::exclusive::insist_on_root;
use super::last_good;
use super::mail;
use super::names;
use super::network_programs::check_network_programs;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::record;
use super::recover::recover_sealed;
use super::seal_mark::Mark;
use super::state::InForce;
use crate::error::with_causes;
use crate::snapshot::PolicySnapshot;

/// How long to wait for another command to end. The box is already closed by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `camfw boot`, the command of the init script.
pub(crate) fn boot(config: &Path) -> Ending {
    if let Err(outcome) = insist_on_root() {
        return outcome.into();
    }
    let closing = close_without_waiting("boot", PATIENCE);
    let tables = match closing.closed {
        Ok(tables) => tables,
        Err(error) => {
            let (outcome, state) = down_instead(error.into(), InForce::sealed(), None);
            return Ending::from(outcome).noting(record::write(&state));
        }
    };
    let _lock = match closing.lock {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let state = InForce::sealed().sealed_because(&error.to_string());
            return Ending::from(Outcome::Sealed(CommandError::Busy(error)))
                .noting(record::write(&state));
        }
        // At boot no other command is running, and /run may not exist yet.
        Err(error) => {
            log::warn!("goes on without a lock: {error}");
            None
        }
    };
    // Compare with the mark set here: a different one means that someone sealed the box
    // later.
    let mark = &closing.marked.unwrap_or_else(|_| Mark::read());
    log::info!("Sealed: nothing passes until the policy holds");
    let unkept = names::expire().unkept;
    boot_closed(config, mark, tables).undone(unkept)
}

/// Continues a boot once the box is closed and this command has the lock.
fn boot_closed(config: &Path, mark: &Mark, tables: ClosedTables) -> Ending {
    let policy = match PlannedPolicy::read(config).and_then(PlannedPolicy::in_season) {
        Ok(policy) => policy,
        Err(refusal) => return boot_last_good(refusal.into(), Outcome::Refused, mark, tables),
    };
    let unconfirmed = match last_good::is_unconfirmed(&policy) {
        Ok(false) => None,
        Ok(true) => Some(CommandError::NeverConfirmed),
        Err(error) => Some(CommandError::CannotTell(error)),
    };
    if let Some(why) = unconfirmed.filter(|_| !is_last_good(&policy.snapshot)) {
        return boot_last_good(why, Outcome::Sealed, mark, tables);
    }
    // On the first boot alone: a box in use is not closed since a package was added.
    if let Err(error) = check_network_programs(&policy.plan) {
        match last_good::last() {
            Err(_) => return boot_last_good(error.into(), Outcome::Refused, mark, tables),
            Ok(_) => log::warn!("{error}"),
        }
    }
    if let Some(trouble) = mail::trouble(&policy.plan.policy) {
        log::error!("no mail is sent: {trouble}");
    }
    let intended = InForce::applied(policy.snapshot.hash());
    match enforce_closed(&policy.plan, tables, mark) {
        Ok(enforced) => Ending::applied(enforced, &policy, intended, mark),
        Err(failure) => {
            let ending = recover_sealed(&policy.plan, intended, failure, mark);
            match ending.outcome {
                // This kernel may support the last good policy even so.
                Outcome::Sealed(why) if mark.is_unchanged() && !is_last_good(&policy.snapshot) => {
                    boot_last_good(why, Outcome::Sealed, mark, ClosedTables::default())
                }
                _ => ending,
            }
        }
    }
}

/// The box is sealed and the file must not be used: applies the last good policy. If
/// there is none, the box stays sealed, and `otherwise` says why.
fn boot_last_good(
    why: CommandError,
    otherwise: fn(CommandError) -> Outcome,
    mark: &Mark,
    tables: ClosedTables,
) -> Ending {
    let text = with_causes(&why);
    let policy = match last_good::last() {
        Ok(policy) => policy,
        Err(none) => {
            log::warn!("{}: stays sealed", with_causes(&none));
            let state = InForce::sealed().sealed_because(&text);
            return Ending::from(otherwise(why)).noting(record::write(&state));
        }
    };
    log::error!("the last good policy is used, and not the file: {text}");
    let intended = InForce::last_good(policy.snapshot.hash(), &text);
    match enforce_closed(&policy.plan, tables, mark) {
        Ok(enforced) => {
            let state = intended.enforced(enforced.missing.clone());
            Ending::from(Outcome::LastGood(why))
                .undone(enforced.missing)
                .undone(enforced.undone)
                .noting(mark.settle(&state))
        }
        Err(failure) => {
            let mut ending = recover_sealed(&policy.plan, intended, failure, mark);
            if let Outcome::Sealed(error) = ending.outcome {
                ending.outcome = Outcome::Sealed(CommandError::Neither {
                    first: Box::new(why),
                    then: Box::new(error),
                });
            }
            ending
        }
    }
}

fn is_last_good(snapshot: &PolicySnapshot) -> bool {
    last_good::last().is_ok_and(|last| last.snapshot.hash() == snapshot.hash())
}
