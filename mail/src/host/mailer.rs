//! The sendmail program, msmtp(1): it is given a whole message, and its exit code says
//! whether the server took it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;

/// The search path if the environment has none, as under an init.
const DEFAULT_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// How long one mail may take; 50 MiB at 1 Mbit/s take ten minutes.
const LIMIT: Duration = Duration::from_secs(900);

/// How long the mail program may be without getting on: the longest that a client has to wait
/// for an answer, but for the last (RFC 5321, 4.5.3.2). Its own limit for an answer is no
/// limit where a server says a word from time to time.
const QUIET: Duration = Duration::from_secs(300);

/// The same once it has the whole message: who gives up while the server still works on it
/// sends it twice (4.5.3.2.6).
const LAST_WORD: Duration = Duration::from_secs(600);

/// How often it is looked at whether the program has ended.
const GLANCE: Duration = Duration::from_millis(20);

/// The most bytes that are kept of what the program says.
const MOST_WORDS: u64 = 1000;

/// Exit codes that are about this message and not about the server (sysexits.h):
/// EX_DATAERR, EX_UNAVAILABLE.
const OF_THE_MESSAGE: &[i32] = &[65, 69];

/// Why a mail was not taken.
#[derive(Debug, Error)]
pub enum MailerError {
    /// The program could not be given the message.
    #[error("cannot run msmtp: {0}")]
    Start(#[from] io::Error),
    /// It did not get on, or took too long.
    #[error("the mail server did not answer; msmtp was ended after {} s", .0.as_secs())]
    Late(Duration),
    /// It ended without a word of success.
    #[error("msmtp: {words} ({status})")]
    Refused {
        /// Its exit status.
        status: ExitStatus,
        /// What it said.
        words: String,
    },
}

impl MailerError {
    /// Whether the server may have refused this message, and would take another.
    pub fn is_of_the_message(&self) -> bool {
        match self {
            MailerError::Refused { status, .. } => status
                .code()
                .is_some_and(|code| OF_THE_MESSAGE.contains(&code)),
            MailerError::Start(_) => false,
            MailerError::Late(_) => true,
        }
    }
}

/// A mail under way. Dropped, it goes on by itself.
#[derive(Debug)]
pub struct Sending {
    child: Child,
    /// The message; how far it is read is shared with the program.
    message: File,
    length: u64,
    words: File,
    begun: Instant,
    /// How far it was read, and since when.
    read: u64,
    read_at: Instant,
}

impl Sending {
    /// Begins to send what `write` writes, by the configuration file of the mail program.
    ///
    /// The message is whole, in memory, before the program starts: one that read a pipe would
    /// send half of it if this process were ended.
    ///
    /// # Errors
    /// Returns an error if the program does not start.
    pub fn start(
        configuration: &Path,
        from: &str,
        to: &[String],
        write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
    ) -> Result<Sending, MailerError> {
        let mut message = in_memory("message")?;
        let mut buffered = BufWriter::new(&mut message);
        write(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        let length = message.stream_position()?;
        message.rewind()?;
        let words = in_memory("words")?;
        let path = std::env::var_os("PATH");
        let child = Command::new("msmtp")
            .env_clear()
            .env("PATH", path.as_deref().unwrap_or(OsStr::new(DEFAULT_PATH)))
            .env("LC_ALL", "C")
            .arg("-C")
            .arg(configuration)
            .args(["-f", from, "--"])
            .args(to)
            .stdin(Stdio::from(message.try_clone()?))
            .stdout(Stdio::null())
            .stderr(Stdio::from(words.try_clone()?))
            .process_group(0)
            .spawn()?;
        let begun = Instant::now();
        Ok(Sending {
            child,
            message,
            length,
            words,
            begun,
            read: 0,
            read_at: begun,
        })
    }

    /// Waits for at most so long; what became of it, once it has ended. The program is ended if
    /// it does not get on.
    pub fn wait(&mut self, most: Duration) -> Option<Result<(), MailerError>> {
        let end = Instant::now() + most;
        loop {
            match self.child.try_wait() {
                Err(error) => return Some(Err(error.into())),
                Ok(Some(status)) => return Some(self.ended(status)),
                Ok(None) => {}
            }
            let now = Instant::now();
            let read = self.message.stream_position().unwrap_or(self.read);
            if read != self.read {
                (self.read, self.read_at) = (read, now);
            }
            let is_whole = self.read >= self.length;
            let quiet = now - self.read_at;
            if is_late(now - self.begun, quiet, is_whole) {
                if let Ok(group) = i32::try_from(self.child.id()) {
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                }
                let _ = self.child.wait();
                return Some(Err(MailerError::Late(now - self.begun)));
            }
            if now >= end {
                return None;
            }
            sleep(GLANCE);
        }
    }

    /// How long the program did not get on.
    pub fn quiet(&self) -> Duration {
        self.read_at.elapsed()
    }

    fn ended(&mut self, status: ExitStatus) -> Result<(), MailerError> {
        if status.success() {
            return Ok(());
        }
        self.words.rewind()?;
        let mut said = Vec::new();
        (&self.words).take(MOST_WORDS).read_to_end(&mut said)?;
        let said = String::from_utf8_lossy(&said);
        // Its last line says only that it could not.
        let lines = said
            .lines()
            .map(|line| line.trim().trim_start_matches("msmtp: "))
            .filter(|line| !line.is_empty() && !line.starts_with("could not send mail"));
        let words = lines.collect::<Vec<_>>().join("; ");
        Err(MailerError::Refused {
            status: ExitStatus::from_raw(status.into_raw()),
            words: crate::name::shown_line(&words),
        })
    }
}

/// Whether it is no use to wait longer: by how long a mail takes, how long the program did not
/// get on, and whether it has all of the message.
fn is_late(takes: Duration, quiet: Duration, is_whole: bool) -> bool {
    let most = match is_whole {
        true => LAST_WORD,
        false => QUIET,
    };
    takes >= LIMIT || quiet >= most
}

fn in_memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_hangs_is_given_up() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for (takes, quiet, is_whole, late) in [
            (4, 4, false, false),
            (5, 5, false, true),
            (14, 1, false, false),
            (15, 1, false, true),
            (9, 9, true, false),
            (10, 10, true, true),
            (15, 1, true, true),
        ] {
            let is = is_late(minutes(takes), minutes(quiet), is_whole);
            assert_eq!(is, late, "{takes} {quiet} {is_whole}");
        }
    }
}
