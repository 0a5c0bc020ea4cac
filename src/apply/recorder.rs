//! Records what is refused, for as long as `camfw watch` runs.
//!
//! Owns the files of the record: in /run soon after each change, and on the disk at long
//! intervals, which spares flash, and when watch is ended. A reboot loses what came after.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::with_causes;
use crate::host::clock;
use crate::host::packet_log::{self, Event, LoggedPacket};
use crate::host::post::Post;
use crate::host::store::{self, StoreError, StorePlace};
use crate::netfilter::NFLOG_GROUP;
use crate::observe::attempt::{Attempt, sender};
use crate::observe::refusals::{NotRefusals, Refusals, Telling};
use crate::observe::wanted::{port_in_words, who};
use crate::policy::Policy;

const NAME: &str = "refused.json";

/// The post of the process that records.
const POST: &str = "recording";

/// How long after a change the record is written to /run.
const TO_RUN: Duration = Duration::from_secs(2);

/// How long after a change the record is written to the disk, in seconds.
const TO_DISK: f64 = 900.0;

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

/// The names of cameras, by their zone and address, for the system log.
pub(super) type CameraNames = Arc<Mutex<BTreeMap<(String, IpAddr), String>>>;

/// Replaces the names by those of a policy.
pub(super) fn rename(names: &CameraNames, policy: &Policy) {
    let cameras = policy.cameras.iter().map(|camera| {
        let zone = policy.zone(camera.zone).name.to_string();
        ((zone, IpAddr::V4(camera.address)), camera.name.to_string())
    });
    *names.lock().unwrap_or_else(PoisonError::into_inner) = cameras.collect();
}

/// Starts to record, until this process ends.
pub(super) fn start(names: CameraNames) {
    let mut recorder = Recorder {
        names,
        refusals: None,
        post: None,
        run_due: None,
        disk_due: None,
        said: String::new(),
    };
    if let Err(error) = packet_log::listen(NFLOG_GROUP, move |event| recorder.handle(event)) {
        log::warn!("watch: what is refused is not recorded: {error}");
    }
}

struct Recorder {
    names: CameraNames,
    /// None until packets can come.
    refusals: Option<Refusals>,
    post: Option<Post>,
    /// When each file is to be written, in seconds since the kernel started; None if it has
    /// everything.
    run_due: Option<f64>,
    disk_due: Option<f64>,
    /// The last problem that was reported.
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
                self.say(line);
            }
            Event::Packets(packets) => self.add(&packets),
            Event::Lost => {
                if let Some(refusals) = &mut self.refusals {
                    refusals.lost = refusals.lost.saturating_add(1);
                }
            }
            Event::Due => {}
            Event::Ending => {
                if self.disk_due.is_some() {
                    self.write(StorePlace::Run);
                    self.write(StorePlace::Disk);
                }
                return None;
            }
        }
        self.write_what_is_due()
    }

    fn begin(&mut self) {
        match Post::take(POST) {
            Ok(post) => self.post = post,
            Err(error) => self.say(format!("status will say that nothing is recorded: {error}")),
        }
        if self.refusals.is_none() {
            let (refusals, problems) = read();
            for problem in problems {
                let line = with_causes(&problem);
                log::warn!("watch: {line}: what was refused before is not known from it");
            }
            self.refusals = Some(refusals);
        }
        self.said.clear();
    }

    fn add(&mut self, packets: &[LoggedPacket]) {
        let Some(refusals) = &mut self.refusals else {
            return;
        };
        let (now, uptime) = (clock::now(), clock::uptime());
        for packet in packets {
            let Some(attempt) = Attempt::new(&packet.prefix, &packet.packet) else {
                continue;
            };
            let hardware = sender(&packet.hardware);
            let telling = refusals.add(&attempt, hardware, now);
            self.run_due.get_or_insert(uptime + TO_RUN.as_secs_f64());
            self.disk_due.get_or_insert(uptime + TO_DISK);
            if telling == Telling::Nothing {
                continue;
            }
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            let zone = attempt.tag.zone.as_ref().map_or("", |zone| zone.as_str());
            let name = names.get(&(zone.to_owned(), attempt.source));
            let from = who(
                &attempt.tag,
                attempt.source,
                hardware,
                name.map(String::as_str),
            );
            let reason = attempt.tag.reason.in_words();
            let what = port_in_words(attempt.protocol, attempt.port);
            let more = match telling {
                Telling::LastForNow => "; more of it in this minute is recorded and not logged",
                _ => "",
            };
            log::warn!(
                "refused: {from} to {} {what}: {reason}{more}",
                attempt.destination
            );
        }
    }

    /// Returns how long to wait until the next file is due.
    fn write_what_is_due(&mut self) -> Option<Duration> {
        let now = clock::uptime();
        if self.run_due.is_some_and(|due| due <= now) {
            self.write(StorePlace::Run);
        }
        if self.disk_due.is_some_and(|due| due <= now) {
            self.write(StorePlace::Disk);
        }
        let due = self.run_due.into_iter().chain(self.disk_due);
        let next = due.reduce(f64::min)?;
        let left = (next - clock::uptime()).max(0.0);
        // A part of a second later, so that it is due then.
        Some(Duration::from_secs_f64(left) + Duration::from_millis(20))
    }

    fn write(&mut self, place: StorePlace) {
        match place {
            StorePlace::Run => self.run_due = None,
            StorePlace::Disk => self.disk_due = None,
        }
        let Some(refusals) = &self.refusals else {
            return;
        };
        match store::write(place, NAME, &refusals.to_text()) {
            Ok(()) => {}
            Err(error) => self.say(with_causes(&error)),
        }
    }

    /// Reports a problem, once.
    fn say(&mut self, line: String) {
        if self.said != line {
            log::warn!("watch: {line}");
            self.said = line;
        }
    }
}
