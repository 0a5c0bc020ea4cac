//! The sendmail program, msmtp(1): it is given a whole message, and its exit code says
//! whether the server took it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
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
    /// It took too long.
    #[error("msmtp was not done after {} s and was ended", LIMIT.as_secs())]
    Late,
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
            MailerError::Late => true,
        }
    }
}

/// Sends what `write` writes, by the configuration file of the mail program.
///
/// The message is whole, in memory, before the program starts: one that read a pipe would
/// send half of it if this process were ended.
///
/// # Errors
/// Returns an error unless the server took it.
pub fn send(
    configuration: &Path,
    from: &str,
    to: &[String],
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), MailerError> {
    let mut message = in_memory("message")?;
    let mut buffered = BufWriter::new(&mut message);
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    message.rewind()?;
    let mut words = in_memory("words")?;
    let path = std::env::var_os("PATH");
    let mut child = Command::new("msmtp")
        .env_clear()
        .env("PATH", path.as_deref().unwrap_or(OsStr::new(DEFAULT_PATH)))
        .env("LC_ALL", "C")
        .arg("-C")
        .arg(configuration)
        .args(["-f", from, "--"])
        .args(to)
        .stdin(Stdio::from(message))
        .stdout(Stdio::null())
        .stderr(Stdio::from(words.try_clone()?))
        .process_group(0)
        .spawn()?;
    let end = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() < end => sleep(Duration::from_millis(20)),
            None => {
                if let Ok(group) = i32::try_from(child.id()) {
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                }
                child.wait()?;
                return Err(MailerError::Late);
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    words.rewind()?;
    let mut said = Vec::new();
    words.take(MOST_WORDS).read_to_end(&mut said)?;
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

fn in_memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?))
}
