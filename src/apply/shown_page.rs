//! The page that `camfw watch` writes for a web server, where the policy says so.
//!
//! Owns where it is: a folder with nothing else in it, since the server shows all of it.

use std::path::Path;

use super::report::{ProvenFacts, report_again};
use crate::error::with_causes;
use crate::host::clock;
use crate::host::page_file;
use crate::policy::Policy;

/// How often it is written at most, in seconds.
const EVERY: f64 = 60.0;

/// The page of a running `watch`.
#[derive(Default)]
pub(super) struct ShownPage {
    known: Option<ProvenFacts>,
    /// When it was written, in seconds since the kernel started.
    written: Option<f64>,
    said: String,
}

impl ShownPage {
    /// Writes the page, or removes it where the policy has none.
    pub(super) fn keep(&mut self, config: &Path, policy: Option<&Policy>) {
        // Nor where there is no policy to keep: it would say what was.
        if policy.is_none_or(|policy| policy.page.is_none()) {
            self.known = None;
            self.written = None;
            self.tell(page_file::remove().map_err(|error| with_causes(&error)));
            return;
        }
        let now = clock::uptime();
        if self.written.is_some_and(|written| now - written < EVERY) {
            return;
        }
        let written = match report_again(config, &mut self.known) {
            Ok(page) => page_file::write_shown(&page).map_err(|error| with_causes(&error)),
            Err(refusal) => Err(refusal.to_string()),
        };
        if written.is_ok() {
            self.written = Some(now);
        }
        self.tell(written);
    }

    fn tell(&mut self, done: Result<(), String>) {
        match done {
            Ok(()) => self.said.clear(),
            Err(line) if self.said != line => {
                log::warn!("watch: the page is not written: {line}");
                self.said = line;
            }
            Err(_) => {}
        }
    }
}
