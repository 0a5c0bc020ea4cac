//! The system log: syslog; before syslogd runs, /dev/kmsg; otherwise stderr.
//!
//! Each line goes to the first of these that accepts it, so that none is lost while
//! syslogd starts, stops or is missing. Every wait is limited.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::libc;
use nix::sys::stat::fstat;
use syslog::{Facility, LogFormat, Logger, LoggerBackend, Severity};

use super::time_limit;

/// How long syslogd or the reader of stderr may take to make room for a line.
const PATIENCE: Duration = Duration::from_millis(200);

/// Whether a write to stderr has timed out: a stopped console, or a pipe without a
/// reader.
static STDERR_IS_STUCK: AtomicBool = AtomicBool::new(false);

/// Whether any line went to stderr, so that it need not be printed there again.
static ON_STDERR: AtomicBool = AtomicBool::new(false);

/// Whether any line went to the log.
static IS_LOGGED: AtomicBool = AtomicBool::new(false);

/// Whether log lines are where stderr leads.
pub fn is_on_stderr() -> bool {
    let is_logged = IS_LOGGED.load(Ordering::Relaxed);
    ON_STDERR.load(Ordering::Relaxed) || (is_logged && is_journal())
}

/// Whether stderr is the journal, which has the lines of syslog and of the kernel's log too
/// (systemd.exec(5), JOURNAL_STREAM).
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Initializes the log; `verbose` enables debug lines.
pub fn start(verbose: bool) {
    let level = if verbose {
        LevelFilter::Debug
    } else {
        LevelFilter::Info
    };
    let log = SystemLog {
        syslog: Mutex::new(None),
    };
    // Fails only if a logger is already set, which then serves as well.
    if log::set_boxed_logger(Box::new(log)).is_ok() {
        log::set_max_level(level);
    }
}

/// The format `<priority>camfw: message`, which syslogd and the kernel both accept. It
/// has no timestamp: both add their own, and the crate's formatters panic if the local
/// time is unavailable.
#[derive(Clone)]
struct LogLine;

impl<T: Display> LogFormat<T> for LogLine {
    fn format<W: Write>(&self, w: &mut W, severity: Severity, message: T) -> syslog::Result<()> {
        let priority = Facility::LOG_DAEMON as u8 | severity as u8;
        // A single write, because each datagram, and each kernel log record, is one
        // line.
        let line = format!("<{priority}>camfw: {message}");
        w.write_all(line.as_bytes()).map_err(syslog::Error::Write)
    }
}

struct SystemLog {
    syslog: Mutex<Option<Logger<LoggerBackend, LogLine>>>,
}

impl Log for SystemLog {
    fn enabled(&self, metadata: &Metadata) -> bool {
        // Omits the libraries' own lines below warnings.
        metadata.target().starts_with("camfw") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = crate::source::one_line(&record.args().to_string());
        let level = record.level();
        if self.to_syslog(level, &message).is_ok() || to_kmsg(level, &message).is_ok() {
            IS_LOGGED.store(true, Ordering::Relaxed);
            return;
        }
        ON_STDERR.store(true, Ordering::Relaxed);
        to_stderr(&format!("camfw: {message}\n"));
    }

    fn flush(&self) {}
}

impl SystemLog {
    fn to_syslog(&self, level: Level, message: &str) -> syslog::Result<()> {
        let mut slot = match self.syslog.lock() {
            Ok(slot) => slot,
            Err(poisoned) => poisoned.into_inner(),
        };
        // After a restart of syslogd the old socket fails once; then open a new one.
        if let Some(logger) = slot.as_mut()
            && send(logger, level, message).is_ok()
        {
            return Ok(());
        }
        *slot = None;
        // A syslogd that does not accept or read must not delay a boot.
        let mut logger =
            time_limit::run(PATIENCE, || syslog::unix(LogLine)).map_err(syslog::Error::Io)??;
        match &logger.backend {
            LoggerBackend::Unix(socket) => socket.set_write_timeout(Some(PATIENCE))?,
            LoggerBackend::UnixStream(stream) => {
                stream.get_ref().set_write_timeout(Some(PATIENCE))?;
            }
            _ => {}
        }
        send(&mut logger, level, message)?;
        *slot = Some(logger);
        Ok(())
    }
}

/// Writes a line to stderr, in a single write so that lines of other processes do not
/// mix with it. Drops the line if it is not accepted in time.
pub fn to_stderr(line: &str) {
    if STDERR_IS_STUCK.load(Ordering::Relaxed) {
        return;
    }
    let line = line.to_owned();
    let written = time_limit::run(PATIENCE, move || io::stderr().write_all(line.as_bytes()));
    if written.is_err() {
        STDERR_IS_STUCK.store(true, Ordering::Relaxed);
    }
}

fn to_kmsg(level: Level, message: &str) -> syslog::Result<()> {
    // Opened for each line: the kernel drops lines beyond ten in five seconds, counted
    // per open file (devkmsg_write in kernel/printk/printk.c).
    let kmsg = OpenOptions::new()
        .append(true)
        // In a container it may be a pipe without a reader.
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .map_err(syslog::Error::Io)?;
    send(&mut Logger::new(kmsg, LogLine), level, message)
}

fn send<W: Write>(
    logger: &mut Logger<W, LogLine>,
    level: Level,
    message: &str,
) -> syslog::Result<()> {
    match level {
        Level::Error => logger.err(message),
        Level::Warn => logger.warning(message),
        Level::Info => logger.notice(message),
        Level::Debug | Level::Trace => logger.debug(message),
    }
}
