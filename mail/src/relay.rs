//! The relay: looks, sends one mail, looks again.
//!
//! What waits is what is in the upload folders. The rest of what it knows is only there to
//! spare work, and is found anew after a restart: which file was judged how, and how often
//! the server did not take it.

mod tell;
mod unlisted;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::found::{FoldersLook, Found, Known, UploadVerdict, files};
use crate::host::mailer::{MailerError, Sending};
use crate::host::state_file::RelayState;
use crate::host::upload::{Stamp, UploadEntry, UploadFolder};
use crate::host::{clock, log};
use crate::media::{Media, has_lost_page};
use crate::message::{Enclosed, Letter};
use crate::name;
use crate::schedule::{Schedule, Waiting};
use crate::settings::{AfterSending, Settings};
use crate::told::RelayReport;

/// How long it rests after it has found nothing to send, in seconds.
const REST: u64 = 1;

/// How long a file has to be as it is before it is read, in seconds.
const SETTLED: f64 = 2.0;

/// How long what is no whole picture or clip stays at least, in seconds.
const AT_LEAST: f64 = 60.0;

/// How long a file waits before the disk is asked to have it, in seconds: most are sent and
/// gone by then, and spare the flash.
const SYNCED: f64 = 10.0;

/// What is left of the quota when uploads are taken again: a tenth.
const ROOM_AGAIN: u64 = 10;

/// How often it looks, and says how it does, while a mail is under way.
const LOOK_WHILE_SENDING: Duration = Duration::from_secs(1);

/// A date before this program was made is that of a clock that nobody has set: no
/// certificate can be judged by it. What a build says (reproducible-builds.org,
/// SOURCE_DATE_EPOCH), or the date of the release.
const MADE: i64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => match i64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => RELEASED,
    },
    None => RELEASED,
};
const RELEASED: i64 = 1_793_491_200;

/// The relay.
#[derive(Debug)]
pub struct Relay {
    settings: Settings,
    mailer: PathBuf,
    state: RelayState,
    schedule: Schedule,
    known: BTreeMap<(u64, u64), Known>,
    closed: BTreeSet<String>,
    problems: Vec<String>,
    /// Since when, by the clock, the server takes nothing, and what it said last.
    refused: Option<(i64, String)>,
    next_try: f64,
    /// When the disk was last asked to have all.
    synced: f64,
    /// How long the server has not answered, in seconds, while a mail is under way.
    unanswered: Option<u64>,
    /// When the server last took one, by the clock.
    last_sent: i64,
    /// Why it could not say how it does.
    unsaid: Option<String>,
}

impl Relay {
    /// A relay that goes on where the last one ended. `mailer` is the mail program's
    /// configuration.
    pub fn new(settings: Settings, mailer: PathBuf, state: RelayState) -> Relay {
        let last = RelayReport::parse(&state.last());
        let schedule = Schedule::with_sent(last.sent);
        Relay {
            settings,
            mailer,
            state,
            schedule,
            known: BTreeMap::new(),
            closed: BTreeSet::new(),
            problems: Vec::new(),
            // What it said is in the log of that run; it is tried at once.
            refused: (last.not_taken_since > 0).then(|| {
                let words = "camfw-mail was started again";
                (last.not_taken_since, words.to_owned())
            }),
            next_try: 0.0,
            synced: 0.0,
            unanswered: None,
            last_sent: last.last_sent,
            unsaid: None,
        }
    }

    /// Relays until the process is ended.
    pub fn run(&mut self) -> ExitCode {
        log::info("started");
        loop {
            let look = self.look();
            self.tell(&look);
            if !self.send_one(&look) {
                clock::sleep(REST);
            }
        }
    }

    /// Looks at every folder, judges what has settled, and keeps to the quota.
    fn look(&mut self) -> FoldersLook {
        let mut look = FoldersLook::default();
        let mut seen = BTreeSet::new();
        let cameras = match self.settings.cameras.as_slice() {
            [] => vec![String::new()],
            cameras => cameras.to_vec(),
        };
        for camera in cameras {
            if let Err(error) = self.look_at(&camera, &mut look, &mut seen) {
                let path = self.settings.folder.join(&camera).join("incoming");
                look.problems.push(format!("{}: {error}", path.display()));
            }
        }
        look.problems.extend(self.unlisted().unwrap_or_default());
        self.known.retain(|id, _| seen.contains(id));
        let waits = |known: &Known| {
            use UploadVerdict::{Arriving, TooLarge, Whole};
            matches!(known.verdict, Arriving | Whole | TooLarge)
        };
        if !self.known.values().any(waits) {
            // Nothing is left that was not taken.
            self.refused = None;
        }
        look
    }

    fn look_at(
        &mut self,
        camera: &str,
        look: &mut FoldersLook,
        seen: &mut BTreeSet<(u64, u64)>,
    ) -> io::Result<()> {
        let base = &self.settings.folder;
        let incoming = match camera {
            "" => UploadFolder::open(base, &["incoming"])?,
            camera => UploadFolder::open(base, &[camera, "incoming"])?,
        };
        let sent = sent_folder(base, camera)?;
        let (mut room, mut not_whole) = (0, Vec::new());
        let quota = self.settings.quota_each;
        let room_of = |entry: &UploadEntry| entry.stamp.room(quota);
        let now = clock::uptime();
        let mut is_unsynced = false;
        for entry in incoming.entries()? {
            seen.insert(entry.stamp.id);
            room += room_of(&entry);
            let found = Found {
                camera: camera.to_owned(),
                entry,
            };
            match self.judge(&incoming, &found.entry)? {
                UploadVerdict::Arriving => {}
                UploadVerdict::Whole | UploadVerdict::TooLarge => {
                    let known = self.known.get(&found.entry.stamp.id);
                    is_unsynced |= known.is_some_and(|known| {
                        now - known.since >= SYNCED && known.since >= self.synced
                    });
                    look.waiting.push(found);
                }
                UploadVerdict::NotWhole => not_whole.push(found),
                UploadVerdict::Taken => {
                    // Of what was too large for a mail only the words were taken.
                    if found.entry.stamp.size <= self.settings.attachments
                        && incoming.remove(&found.entry).is_ok()
                    {
                        room = room.saturating_sub(room_of(&found.entry));
                    }
                }
            }
        }
        if is_unsynced {
            match incoming.sync() {
                Ok(()) => self.synced = now,
                Err(error) => look
                    .problems
                    .push(format!("the disk takes no uploads: {error}")),
            }
        }
        // What goes first is first.
        let mut spare: Vec<(&UploadFolder, UploadEntry, bool)> = Vec::new();
        let mut kept = sent.entries()?;
        kept.sort_by_key(|entry| entry.stamp.changed);
        not_whole.sort_by_key(|found| found.entry.stamp.changed);
        room += kept.iter().map(room_of).sum::<u64>();
        spare.extend(kept.into_iter().map(|entry| (&sent, entry, true)));
        spare.extend(not_whole.iter().map(|found| {
            let known = self.known.get(&found.entry.stamp.id);
            let is_old = known.is_some_and(|known| clock::uptime() - known.since > AT_LEAST);
            (&incoming, found.entry.clone(), is_old)
        }));
        let now = clock::now();
        let mut is_full = incoming.is_on_full_disk(self.settings.attachments)?;
        for (folder, entry, may_go) in spare {
            let is_old =
                is_kept_long_enough(now, entry.stamp.changed.0, self.settings.keep_seconds);
            if may_go && (is_old || is_full || room > quota) && folder.remove(&entry).is_ok() {
                room = room.saturating_sub(room_of(&entry));
                is_full = incoming.is_on_full_disk(self.settings.attachments)?;
            }
        }
        look.not_whole.extend(not_whole);
        let most = match self.closed.contains(camera) {
            true => quota - quota / ROOM_AGAIN,
            false => quota,
        };
        if room >= most {
            look.closed.insert(camera.to_owned());
        }
        look.is_disk_full |= is_full;
        incoming.take_uploads(room < most)
    }

    /// What a file is; it is read once for as long as it stays as it is.
    fn judge(&mut self, folder: &UploadFolder, entry: &UploadEntry) -> io::Result<UploadVerdict> {
        let now = clock::uptime();
        let fresh = || Known {
            stamp: entry.stamp,
            since: now,
            verdict: UploadVerdict::Arriving,
            failures: 0,
            is_told: false,
        };
        let known = self.known.entry(entry.stamp.id).or_insert_with(fresh);
        if known.stamp != entry.stamp {
            *known = fresh();
        }
        if known.verdict != UploadVerdict::Arriving || now - known.since < SETTLED {
            return Ok(known.verdict);
        }
        known.verdict = if !entry.is_file {
            UploadVerdict::NotWhole
        } else {
            let is_large = entry.stamp.size > self.settings.attachments;
            let most = if is_large { 16 } else { entry.stamp.size };
            match folder.read(entry, most) {
                Ok(None) => UploadVerdict::Arriving,
                Ok(Some(bytes)) if is_large => match Media::of_beginning(&bytes) {
                    Some(_) => UploadVerdict::TooLarge,
                    None => UploadVerdict::NotWhole,
                },
                Ok(Some(bytes)) => match whole(&entry.stamp, &bytes) {
                    Some(_) => UploadVerdict::Whole,
                    None => UploadVerdict::NotWhole,
                },
                // Of this file alone: the others are looked at.
                Err(error) => {
                    let (name, path) = (
                        name::shown(entry.name.as_encoded_bytes()),
                        &self.settings.folder,
                    );
                    log::error(&format!(
                        "cannot read {name} below {}: {error}",
                        path.display()
                    ));
                    UploadVerdict::NotWhole
                }
            }
        };
        Ok(known.verdict)
    }

    /// Sends a mail if it is time for one. Whether the server took one.
    fn send_one(&mut self, look: &FoldersLook) -> bool {
        let now = clock::uptime();
        if clock::now() < MADE {
            return false;
        }
        let waiting: Vec<Waiting> = look
            .waiting
            .iter()
            .map(|found| self.waiting(found))
            .collect();
        let (most_mails, most_bytes) = (self.settings.per_hour, self.settings.attachments);
        let chosen = self.schedule.next(&waiting, most_mails, most_bytes, now);
        let chosen = chosen.into_iter().filter_map(|place| {
            let found = look.waiting.get(place)?;
            Some((found.clone(), self.enclosed(found)?))
        });
        let (found, enclosed): (Vec<Found>, Vec<Enclosed>) = chosen.collect();
        if found.is_empty() {
            return false;
        }
        let (notes, told) = self.notes(look);
        let letter = Letter {
            settings: &self.settings,
            enclosed: &enclosed,
            notes: &notes,
            now: clock::now(),
        };
        let (from, to) = (&self.settings.from, &self.settings.to);
        let sending = Sending::start(&self.mailer, from, to, |out| letter.write(out));
        match sending.and_then(|sending| self.wait_for(sending)) {
            Ok(()) => {
                self.schedule.taken(clock::uptime());
                self.last_sent = clock::now();
                if self.refused.take().is_some() {
                    log::info("the server takes mail again");
                }
                log::info(&format!("sent a mail with {}", files(found.len())));
                // Before anything is removed: who ends this here finds the mail counted.
                self.tell(look);
                for (found, enclosed) in found.iter().zip(&enclosed) {
                    self.put_away(found, enclosed);
                }
                for id in told {
                    if let Some(known) = self.known.get_mut(&id) {
                        known.is_told = true;
                    }
                }
                true
            }
            Err(error) => {
                if error.is_of_the_message() {
                    for found in &found {
                        if let Some(known) = self.known.get_mut(&found.entry.stamp.id) {
                            known.failures = known.failures.saturating_add(1);
                        }
                    }
                }
                let again = clock::uptime();
                let wait = self.schedule.failed(again, error.is_of_the_message());
                self.next_try = again + wait;
                let words = error.to_string();
                let is_new = self
                    .refused
                    .as_ref()
                    .is_none_or(|(_, before)| *before != words);
                if is_new {
                    log::error(&format!(
                        "a mail was not taken, and is tried again in {wait} s: {words}"
                    ));
                }
                let since = self
                    .refused
                    .as_ref()
                    .map_or_else(clock::now, |(since, _)| *since);
                self.refused = Some((since, words));
                false
            }
        }
    }

    /// Waits until a mail is sent. Meanwhile quotas are kept, and who looks is told.
    fn wait_for(&mut self, mut sending: Sending) -> Result<(), MailerError> {
        let ended = loop {
            if let Some(ended) = sending.wait(LOOK_WHILE_SENDING) {
                break ended;
            }
            self.unanswered = Some(sending.quiet().as_secs());
            let look = self.look();
            self.tell(&look);
        };
        self.unanswered = None;
        ended
    }

    fn waiting(&self, found: &Found) -> Waiting {
        let stamp = found.entry.stamp;
        let known = self.known.get(&stamp.id);
        let is_whole = known.is_some_and(|known| known.verdict == UploadVerdict::Whole);
        let mut cameras = self.settings.cameras.iter();
        Waiting {
            bytes: if is_whole { stamp.size } else { 0 },
            failures: known.map_or(0, |known| known.failures),
            since: stamp.changed.0,
            camera: cameras.position(|name| *name == found.camera).unwrap_or(0),
        }
    }

    /// A file as it goes into a mail, read and judged anew: what is sent is what was judged.
    /// None if it changed.
    fn enclosed(&mut self, found: &Found) -> Option<Enclosed> {
        let stamp = found.entry.stamp;
        let folder = incoming(&self.settings, &found.camera).ok()?;
        let verdict = self.known.get(&stamp.id)?.verdict;
        let content = match verdict {
            UploadVerdict::Whole => {
                let bytes = folder.read(&found.entry, stamp.size);
                let bytes = bytes.ok().flatten();
                let judged = bytes.and_then(|bytes| Some((whole(&stamp, &bytes)?, bytes)));
                if judged.is_none() {
                    self.known.remove(&stamp.id);
                    return None;
                }
                judged
            }
            _ => None,
        };
        Some(Enclosed {
            camera: found.camera.clone(),
            file: found.entry.name.as_encoded_bytes().to_vec(),
            uploaded: stamp.changed.0,
            size: stamp.size,
            content,
        })
    }

    /// What becomes of a file that the server took, or was told of.
    fn put_away(&mut self, found: &Found, enclosed: &Enclosed) {
        let is_kept = self.settings.after == AfterSending::Keep || enclosed.content.is_none();
        let done = incoming(&self.settings, &found.camera).and_then(|folder| match is_kept {
            false => folder.remove(&found.entry),
            true => {
                let sent = sent_folder(&self.settings.folder, &found.camera)?;
                let media = enclosed.content.as_ref().map(|(media, _)| *media);
                let stamp = found.entry.stamp;
                let ending = match media {
                    Some(media) => name::attachment("", &enclosed.file, 1, media),
                    None => "too-large".to_owned(),
                };
                let name = format!("{}-{}-{ending}", stamp.changed.0, stamp.id.1);
                // A disk that is full has no room for what was sent.
                let moved = folder.move_to(&found.entry, &sent, &name);
                match enclosed.content {
                    Some(_) => moved.or_else(|_| folder.remove(&found.entry)),
                    None => moved,
                }
            }
        });
        if let Err(error) = done {
            log::error(&format!("a file that was sent cannot be put away: {error}"));
            if let Some(known) = self.known.get_mut(&found.entry.stamp.id) {
                known.verdict = UploadVerdict::Taken;
            }
        }
    }
}

/// What a file is, if it is whole. One from before the boot may have lost pages in a power
/// cut; without a clock that is set nobody can say which that is, and nothing is sent.
fn whole(stamp: &Stamp, bytes: &[u8]) -> Option<Media> {
    let media = Media::of_whole(bytes)?;
    let booted = clock::now() - clock::uptime() as i64;
    (stamp.changed.0 >= booted || !has_lost_page(media, bytes)).then_some(media)
}

fn incoming(settings: &Settings, camera: &str) -> io::Result<UploadFolder> {
    match camera {
        "" => UploadFolder::open(&settings.folder, &["incoming"]),
        camera => UploadFolder::open(&settings.folder, &[camera, "incoming"]),
    }
}

/// The folder of what a camera's mails had.
fn sent_folder(base: &std::path::Path, camera: &str) -> io::Result<UploadFolder> {
    let sent = UploadFolder::open(base, &["sent"])?;
    match camera {
        "" => Ok(sent),
        camera => sent.folder(camera),
    }
}

/// Whether a file that changed then has been kept for its time. By a clock that nobody set nothing is old.
fn is_kept_long_enough(now: i64, changed: i64, keep_seconds: u64) -> bool {
    let age = now.saturating_sub(changed);
    now >= MADE && age > i64::try_from(keep_seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_goes_after_its_days_and_by_a_set_clock_alone() {
        const WEEK: u64 = 7 * 86_400;
        let now = MADE + 30 * 86_400;
        assert!(!is_kept_long_enough(now, now - 7 * 86_400, WEEK));
        assert!(is_kept_long_enough(now, now - 7 * 86_400 - 1, WEEK));
        // It came later than now: the clock was wrong then, or is.
        assert!(!is_kept_long_enough(now, now + 86_400, WEEK));
        assert!(!is_kept_long_enough(MADE - 1, 0, WEEK));
    }
}
