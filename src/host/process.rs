//! Runs other programs: starts them, waits with a time limit, and reports errors as one
//! line.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::Pid;
use thiserror::Error;

use super::{clock, lock, packet_log, text_file};
use crate::source::one_line;

/// The search path if the environment has no PATH, as may be the case under an init.
const DEFAULT_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The time limit for a program to go to the background.
const DAEMON_LIMIT: Duration = Duration::from_secs(30);

/// The time limit for a killed program to end.
const END_LIMIT: Duration = Duration::from_secs(2);

/// The time limit of a program that only reads; it is most likely delayed by another
/// program that has the lock of the tables.
pub const SHORT: Duration = Duration::from_secs(10);

/// The largest input that is read, in bytes: that of a stored policy.
const MAX_INPUT: u64 = 16 << 20;

/// The command-line arguments after the program's name.
pub fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1)
}

/// A name that no other process uses or has used since the kernel started.
pub fn unique_name() -> String {
    format!("{}-{:?}", std::process::id(), clock::uptime())
}

/// Why a program failed.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot run {program}")]
    Start {
        /// Its path.
        program: String,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// It exceeded its time limit and was killed.
    #[error("{program} did not end within {seconds} s and was killed")]
    Late {
        /// Its path.
        program: String,
        /// The time limit, in seconds.
        seconds: u64,
    },
    /// It exited with an error.
    #[error("{program} failed ({status}): {message}")]
    Failed {
        /// Its path.
        program: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// Its standard error, folded into one line.
        message: String,
    },
}

/// A running program.
#[derive(Debug)]
pub struct Running {
    program: String,
    child: Child,
}

/// Searches PATH for a program.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

/// Starts a program with `input` as its standard input, and one additional environment
/// variable.
///
/// # Errors
/// Returns an error if it cannot be started.
pub fn start(
    program: &str,
    args: &[&str],
    input: Option<&str>,
    variable: Option<(&str, &str)>,
) -> Result<Running, ProcessError> {
    let failed = |error| ProcessError::Start {
        program: program.to_owned(),
        error,
    };
    let input = match input {
        None => Stdio::null(),
        // A file in memory, because a pipe could fill up and block.
        Some(text) => Stdio::from(in_memory(text).map_err(failed)?),
    };
    let mut command = Command::new(program);
    command.envs(variable);
    command
        .args(args)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = packet_log::with_signals(|| command.spawn()).map_err(failed)?;
    Ok(Running {
        program: program.to_owned(),
        child,
    })
}

/// Runs a program that goes to the background, and waits until it has. It inherits no
/// file descriptor that a reader of ours waits on.
///
/// Returns an error if it cannot be started, or if it fails.
/// It cannot be run, or it fails.
pub fn start_daemon(
    program: &str,
    args: &[&str],
    (variable, value): (&str, &str),
) -> Result<(), ProcessError> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env(variable, value)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let run = || {
        within(DAEMON_LIMIT, || {
            packet_log::with_signals(|| command.status())
        })
    };
    let status = lock::kept_from_children(run).map_err(|error| ProcessError::Start {
        program: program.to_owned(),
        error,
    })?;
    if status.success() {
        return Ok(());
    }
    Err(ProcessError::Failed {
        program: program.to_owned(),
        status,
        message: args.join(" "),
    })
}

/// A process that continues independently.
#[derive(Debug)]
pub struct Apart(Child);

impl Apart {
    /// Reaps the process if it has ended, so that no zombie remains.
    pub fn reap(&mut self) {
        // Fails only if it was reaped before.
        let _ = self.0.try_wait();
    }
}

/// Starts this program again as an independent process, which does not share our
/// terminal or lock and does not end with us. Waits until it calls [`detach`].
///
/// # Errors
/// Returns an error if it cannot be started, or if it does not call [`detach`].
pub fn start_apart(args: &[&str], input: &str) -> io::Result<Apart> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(args)
        .stdin(Stdio::from(in_memory(input)?))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = lock::kept_from_children(|| packet_log::with_signals(|| command.spawn()))?;
    let (said, _) = read_both(&mut child, Instant::now() + DAEMON_LIMIT)?;
    if said == READY.as_bytes() {
        return Ok(Apart(child));
    }
    let _ = child.kill();
    await_end(&mut child);
    Err(io::Error::other("it did not become ready"))
}

/// Leaves the session and terminal of the parent process, and ignores the signals that
/// end the processes in them; then reports readiness on stdout and closes it.
///
/// # Errors
/// Returns an error if this process is a process group leader, or if its parent is
/// gone.
pub fn detach() -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGPIPE,
    ] {
        signals.add(signal);
    }
    signals.thread_block()?;
    nix::unistd::setsid()?;
    let mut stdout = io::stdout().lock();
    // The parent may be gone, which is no reason to stop.
    let _ = stdout
        .write_all(READY.as_bytes())
        .and_then(|()| stdout.flush());
    let nowhere = File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&nowhere)?;
    Ok(())
}

/// Reads all of standard input.
///
/// # Errors
/// Returns an error if it cannot be read, or if it is not UTF-8.
pub fn read_stdin() -> io::Result<String> {
    let bytes = text_file::read_stdin(MAX_INPUT)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

const READY: &str = "ready";

fn in_memory(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("input", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

impl Running {
    /// Waits for the program for at most `limit`, then kills it and what it started.
    /// Returns its standard output.
    ///
    /// # Errors
    /// Returns an error if it did not exit with 0, or not in time.
    pub fn finish(mut self, limit: Duration) -> Result<String, ProcessError> {
        let program = self.program.clone();
        let failed = |error| ProcessError::Start {
            program: program.clone(),
            error,
        };
        let end = Instant::now() + at_most(limit);
        let (stdout, stderr) = read_both(&mut self.child, end).map_err(failed)?;
        // Its pipes are closed, so it has ended or is about to.
        let status = loop {
            match self.child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None if Instant::now() < end => sleep(Duration::from_micros(100)),
                None => {
                    self.kill();
                    let seconds = limit.as_secs();
                    return Err(ProcessError::Late { program, seconds });
                }
            }
        };
        if status.success() {
            // Without a copy where it is text, which may be long.
            let text = String::from_utf8(stdout);
            Ok(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
        } else {
            Err(ProcessError::Failed {
                program,
                status,
                message: one_line(&String::from_utf8_lossy(&stderr)),
            })
        }
    }

    /// It leads a process group of its own, so this also reaches what it started.
    fn kill(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        await_end(&mut self.child);
    }
}

/// A program whose output nobody will read is of no more use: it would stay as a zombie of a
/// command that goes on.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// Waits for a killed program. One that is blocked in a system call on a device ends
/// only when the call does; it is left to init.
fn await_end(child: &mut Child) {
    let end = Instant::now() + END_LIMIT;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
        sleep(Duration::from_millis(1));
    }
}

/// Reads a child's stdout and stderr until it closes both, or until `end`.
fn read_both(child: &mut Child, end: Instant) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut buffer = [0; 16 * 1024];
    while stdout.is_some() || stderr.is_some() {
        let left = end.saturating_duration_since(Instant::now());
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        fds.extend(
            stdout
                .iter()
                .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)),
        );
        fds.extend(
            stderr
                .iter()
                .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)),
        );
        match poll(
            &mut fds,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(0) => break,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(fds);
        let mut ready = ready.into_iter();
        if stdout.is_some() && ready.next() == Some(true) {
            read_some(&mut stdout, &mut buffer, &mut out)?;
        }
        if stderr.is_some() && ready.next() == Some(true) {
            read_some(&mut stderr, &mut buffer, &mut err)?;
        }
    }
    Ok((out, err))
}

/// Reads once; at end of file, closes the pipe.
fn read_some<R: Read>(
    pipe: &mut Option<R>,
    buffer: &mut [u8],
    into: &mut Vec<u8>,
) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(buffer)? {
        0 => *pipe = None,
        length => into.extend_from_slice(&buffer[..length]),
    }
    Ok(())
}

/// The common deadline of all programs, if one is set.
static ALL_DONE: Mutex<Option<Instant>> = Mutex::new(None);

/// Runs `work` with a total time limit for all its programs, besides their own limits.
pub fn in_all<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let set = |end| *ALL_DONE.lock().unwrap_or_else(PoisonError::into_inner) = end;
    set(Some(Instant::now() + limit));
    let result = work();
    set(None);
    result
}

/// The limit, or what remains of the total limit if that is less.
fn at_most(limit: Duration) -> Duration {
    let end = *ALL_DONE.lock().unwrap_or_else(PoisonError::into_inner);
    end.map_or(limit, |end| {
        limit.min(end.saturating_duration_since(Instant::now()))
    })
}

/// Runs `work`, which starts programs and waits for them without a limit. Kills them,
/// and what they started, after `limit`.
pub fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        // The sender is dropped when the work is done.
        while is_done.recv_timeout(at_most(limit)) == Err(RecvTimeoutError::Timeout) {
            descendants(std::process::id() as i32)
                .into_iter()
                .for_each(|pid| {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                });
        }
    });
    let result = work();
    drop(done);
    let _ = guard.join();
    result
}

/// The direct and indirect child processes of a process.
fn descendants(of: i32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(i32, i32)> = processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // `pid (name) state ppid`; the name may contain any character.
            let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.split_off(1)
}
