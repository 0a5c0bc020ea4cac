//! What the relay tells: the next mail of what is not sent, and the log and `camfw status` how
//! it does.

use mail_builder::headers::date::Date;

use super::{MADE, Relay};
use crate::found::{FoldersLook, Found, files, of, refuses};
use crate::host::{clock, log};
use crate::name;
use crate::told::RelayReport;

/// The most files that a mail tells of beside its own.
const MOST_NOTES: usize = 20;

/// After how many refusals of a file somebody has to look.
const REFUSED_OFTEN: u32 = 3;

/// After how many seconds without an answer the wait is told, and after how many somebody has
/// to look: the mail program gives a server 60 s for most answers.
const TOLD: u64 = 10;
const LONG: u64 = 60;

impl Relay {
    /// What the next mail says of files that are not sent, and which those are.
    pub(super) fn notes(&self, look: &FoldersLook) -> (Vec<String>, Vec<(u64, u64)>) {
        let untold = look.not_whole.iter().filter(|found| {
            let known = self.known.get(&found.entry.stamp.id);
            known.is_some_and(|known| !known.is_told)
        });
        let untold: Vec<&Found> = untold.collect();
        let mut notes: Vec<String> = untold
            .iter()
            .take(MOST_NOTES)
            .map(|found| {
                let (name, size) = (
                    name::shown(found.entry.name.as_encoded_bytes()),
                    found.entry.stamp.size,
                );
                format!(
                    "not sent, since it is no whole picture or clip: {} {name}, {size} bytes",
                    found.camera
                )
            })
            .collect();
        if untold.len() > MOST_NOTES {
            notes.push(format!("and {} more", untold.len() - MOST_NOTES));
        }
        (
            notes,
            untold.iter().map(|found| found.entry.stamp.id).collect(),
        )
    }

    /// Says how it does: a line for `camfw status`, and the times of the last hour's mails
    /// for the next run.
    pub(super) fn tell(&mut self, look: &FoldersLook) {
        for camera in look.closed.difference(&self.closed) {
            log::error(&format!("{}, until there is room again", refuses(camera)));
        }
        for camera in self.closed.difference(&look.closed) {
            log::info(&format!("takes uploads{} again", of(camera)));
        }
        if look.problems != self.problems {
            look.problems.iter().for_each(|problem| log::error(problem));
            self.problems.clone_from(&look.problems);
        }
        self.closed.clone_from(&look.closed);
        let now = clock::uptime();
        let sent = self.schedule.sent_lately(now).to_vec();
        let mut words = vec![
            format!("{} to send", files(look.waiting.len())),
            format!(
                "{} of {} mails in the last hour",
                sent.len(),
                self.settings.per_hour
            ),
        ];
        let harmless = words.len();
        if clock::now() < MADE {
            words.push("WAITS for the clock to be set".to_owned());
        }
        if let Some((since, said)) = &self.refused {
            let since = Date::new(*since).to_rfc822();
            let left = (self.next_try - now).max(0.0);
            let again = match self.unanswered {
                None => format!("next try in {left:.0} s"),
                Some(_) => "tried now".to_owned(),
            };
            words.push(format!("NOT TAKEN since {since}, {again}: {said}"));
        }
        let refused = look.waiting.iter().filter(|found| {
            let known = self.known.get(&found.entry.stamp.id);
            known.is_some_and(|known| known.failures >= REFUSED_OFTEN)
        });
        match refused.count() {
            0 => {}
            count => words.push(format!(
                "the server REFUSES {} again and again",
                files(count)
            )),
        }
        words.extend(look.closed.iter().map(|camera| refuses(camera)));
        if look.is_disk_full {
            words.push("the upload folder's disk is FULL".to_owned());
        }
        words.extend(look.problems.iter().cloned());
        let unanswered = self.unanswered.unwrap_or(0);
        let needs_attention = words.len() > harmless || unanswered >= LONG;
        if unanswered >= TOLD {
            words.push(format!(
                "the mail server has not answered for {unanswered} s"
            ));
        }
        if !look.not_whole.is_empty() {
            let count = files(look.not_whole.len());
            words.push(format!("{count} not sent: no whole picture or clip"));
        }
        let report = RelayReport {
            files: look.waiting.len(),
            last_sent: self.last_sent,
            not_taken_since: self.refused.as_ref().map_or(0, |(since, _)| *since),
            needs_attention,
            words,
            sent,
        };
        // Only for who looks: no reason to send nothing.
        let unsaid = self.state.say(&report.to_string()).err();
        let unsaid = unsaid.map(|error| error.to_string());
        if let Some(error) = unsaid.as_ref().filter(|_| self.unsaid != unsaid) {
            log::error(&format!("cannot say how it does: {error}"));
        }
        self.unsaid = unsaid;
    }
}
