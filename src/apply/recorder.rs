//! Records what is refused, for as long as `camfw watch` runs.
//!
//! Owns the files of the record: in /run soon after each change, and on the disk at long
//! intervals, which spares flash, and when watch is ended. A reboot loses what came after.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::names;
use super::sighted::SightingRecord;
use crate::error::with_causes;
use crate::host::clock;
use crate::host::netlink;
use crate::host::packet_log::{self, Event, LoggedPacket};
use crate::host::post::Post;
use crate::host::store::{self, StoreError, StorePlace};
use crate::name::MacAddress;
use crate::netfilter::NFLOG_GROUP;
use crate::observe::attempt::{Attempt, sender};
use crate::observe::listed_hosts::ListedHosts;
use crate::observe::refusal_room::Telling;
use crate::observe::refusals::Refusals;
use crate::observe::refusals_text::NotRefusals;
use crate::observe::wanted::{port_in_words, who};
use crate::policy::Policy;

const NAME: &str = "refused";

/// The post of the process that records.
const POST: &str = "recording";

/// How long after a change the record is written to /run, in seconds.
const TO_RUN: f64 = 2.0;

/// How long after a change the record is written to the disk, in seconds.
const TO_DISK: f64 = 900.0;

/// How long after a write that failed it is tried again, in seconds.
const AGAIN: f64 = 10.0;

/// Why a stored record is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRecord {
    #[error(transparent)]
    Unreadable(#[from] StoreError),
    #[error("cannot use {NAME} in {}", .0.folder())]
    Torn(StorePlace, #[source] NotRefusals),
}

/// The newest stored record that can be used, with what is wrong with newer ones; empty if
/// there is none.
pub(super) fn read() -> (Refusals, Vec<NotRecord>) {
    let mut problems = Vec::new();
    for place in StorePlace::NEWEST_FIRST {
        let found = match store::read(place, NAME) {
            Ok(None) => continue,
            Ok(Some(text)) => Refusals::parse(&text).map_err(|error| NotRecord::Torn(place, error)),
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(refusals) => return (refusals, problems),
            Err(problem) => problems.push(problem),
        }
    }
    (Refusals::default(), problems)
}

/// Whether a process records.
pub(super) fn is_running() -> bool {
    Post::is_held(POST)
}

/// The cameras and networks of the policy.
pub(super) type SharedListedHosts = Arc<Mutex<Arc<ListedHosts>>>;

/// Replaces them by those of a policy.
pub(super) fn list(listed: &SharedListedHosts, policy: &Policy) {
    let hosts = Arc::new(ListedHosts::of(policy));
    *listed.lock().unwrap_or_else(PoisonError::into_inner) = hosts;
}

/// The record of this process; None until packets can come.
#[derive(Clone, Default)]
pub(super) struct SharedRefusals(Arc<Mutex<Option<Refusals>>>);

impl SharedRefusals {
    /// The record as it is: who works with it does not keep packets waiting. Where this
    /// process does not record, the stored one.
    pub(super) fn snapshot(&self) -> Refusals {
        let own = self.lock().clone();
        own.unwrap_or_else(|| read().0)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Refusals>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts to record, until this process ends. Returns the record.
pub(super) fn start(listed: SharedListedHosts, sighted: SightingRecord) -> SharedRefusals {
    let refusals = SharedRefusals::default();
    let mut recorder = Recorder {
        listed,
        sighted,
        refusals: refusals.clone(),
        post: None,
        in_run: Written::default(),
        on_disk: Written::default(),
        said: String::new(),
    };
    if let Err(error) = packet_log::listen(NFLOG_GROUP, move |event| recorder.handle(event)) {
        log::warn!("watch: what is refused is not recorded: {error}");
    }
    refusals
}

struct Recorder {
    listed: SharedListedHosts,
    /// Written when this process ends.
    sighted: SightingRecord,
    refusals: SharedRefusals,
    post: Option<Post>,
    in_run: Written,
    on_disk: Written,
    /// The last problem of the packet log that was reported.
    said: String,
}

/// What a file of the record has.
#[derive(Default)]
struct Written {
    /// When it is to be written, in seconds since the kernel started; None if it has
    /// everything.
    due: Option<f64>,
    /// Why it could not be written the last time.
    said: String,
}

impl Recorder {
    /// Returns how long to wait.
    fn handle(&mut self, event: Event) -> Option<Duration> {
        match event {
            Event::Opened => self.begin(),
            Event::Failed(error) => {
                self.post = None;
                let line = format!("what is refused is not recorded: {error}");
                say(&mut self.said, line);
            }
            Event::Packets(packets) => self.add(&packets),
            Event::Lost => {
                if let Some(refusals) = &mut *self.refusals.lock() {
                    refusals.lost = refusals.lost.saturating_add(1);
                }
            }
            Event::Due => {}
            Event::Ending => {
                if self.on_disk.due.is_some() {
                    self.write(StorePlace::Run);
                    self.write(StorePlace::Disk);
                }
                self.sighted.end();
                return None;
            }
        }
        self.write_what_is_due()
    }

    fn begin(&mut self) {
        match Post::take(POST) {
            Ok(post) => self.post = post,
            Err(error) => {
                let line = format!("status will say that nothing is recorded: {error}");
                say(&mut self.said, line);
            }
        }
        let mut own = self.refusals.lock();
        if own.is_none() {
            let (refusals, problems) = read();
            for problem in problems {
                let line = with_causes(&problem);
                log::warn!("watch: {line}: what was refused before is not known from it");
            }
            *own = Some(refusals);
        }
        drop(own);
        self.said.clear();
    }

    fn add(&mut self, packets: &[LoggedPacket]) {
        // syslogd may take its time, and the record is not kept from others meanwhile.
        for line in self.record(packets) {
            log::warn!("{line}");
        }
    }

    /// Returns what is to be logged.
    fn record(&mut self, packets: &[LoggedPacket]) -> Vec<String> {
        let attempts = packets.iter().filter_map(|packet| {
            let attempt = Attempt::new(&packet.prefix, &packet.packet)?;
            Some((attempt, sender(&packet.hardware, &packet.packet)))
        });
        let attempts: Vec<(Attempt, Option<MacAddress>)> = attempts.collect();
        let mut unclear = attempts.iter();
        let own = match unclear.any(|(attempt, hardware)| attempt.may_be_the_routers(*hardware)) {
            // Nobody waits for the record meanwhile. If it fails, they are recorded.
            true => netlink::own().unwrap_or_default(),
            false => Vec::new(),
        };
        let mut lines = Vec::new();
        let mut refusals = self.refusals.lock();
        let Some(refusals) = &mut *refusals else {
            return lines;
        };
        let listed = Arc::clone(&self.listed.lock().unwrap_or_else(PoisonError::into_inner));
        refusals.list(&listed);
        let (now, uptime) = (clock::now(), clock::uptime());
        let mut resolved = None;
        for (attempt, hardware) in attempts {
            if attempt.may_be_the_routers(hardware) && attempt.is_sent_to_all_by(&own) {
                continue;
            }
            let telling = refusals.add(&attempt, hardware, now);
            self.in_run.due.get_or_insert(uptime + TO_RUN);
            self.on_disk.due.get_or_insert(uptime + TO_DISK);
            if telling == Telling::Nothing {
                continue;
            }
            let name = listed.camera(&attempt).map(|it| it.name.as_str());
            let from = who(&attempt.tag, attempt.source, hardware, name);
            let reason = attempt.tag.reason.in_words();
            let what = port_in_words(attempt.protocol, attempt.port);
            let more = match telling {
                Telling::LastForNow => "; more in this minute is recorded and not logged",
                _ => "",
            };
            let mut to = attempt.destination.to_string();
            // The name that the router asked for; what other hosts ask for is not looked at.
            if attempt.tag.zone.is_none() {
                let resolved = resolved.get_or_insert_with(names::known);
                if let Some(name) = resolved.name_of(attempt.destination) {
                    to += &format!(" ({name})");
                }
            }
            lines.push(format!("refused: {from} to {to} {what}: {reason}{more}"));
        }
        lines
    }

    /// Returns how long to wait until the next file is due.
    fn write_what_is_due(&mut self) -> Option<Duration> {
        let now = clock::uptime();
        if self.in_run.due.is_some_and(|due| due <= now) {
            self.write(StorePlace::Run);
        }
        if self.on_disk.due.is_some_and(|due| due <= now) {
            self.write(StorePlace::Disk);
        }
        let due = self.in_run.due.into_iter().chain(self.on_disk.due);
        let next = due.reduce(f64::min)?;
        let left = (next - clock::uptime()).max(0.0);
        // A part of a second later, so that it is due then.
        Some(Duration::from_secs_f64(left) + Duration::from_millis(20))
    }

    fn write(&mut self, place: StorePlace) {
        let text = self.refusals.lock().as_ref().map(Refusals::to_text);
        let Some(text) = text else {
            return;
        };
        let written = match place {
            StorePlace::Run => &mut self.in_run,
            StorePlace::Disk => &mut self.on_disk,
        };
        match store::write(place, NAME, &text) {
            Ok(()) => *written = Written::default(),
            Err(error) => {
                // Until it succeeds: the next packet may come long after.
                written.due = Some(clock::uptime() + AGAIN);
                say(&mut written.said, with_causes(&error));
            }
        }
    }
}

/// Reports a problem, unless it was `said` before.
fn say(said: &mut String, line: String) {
    if *said != line {
        log::warn!("watch: {line}");
        *said = line;
    }
}
