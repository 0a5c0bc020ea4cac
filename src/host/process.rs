//! Other programs: started, waited for, their errors told in one line.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::memfd::{MFdFlags, memfd_create};
use thiserror::Error;

use crate::source::one_line;

/// Where programs are looked for when the environment names no PATH, as may be
/// under an init.
const DEFAULT_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program did not do its work.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It did not run.
    #[error("cannot run {program}: {error}")]
    Start {
        /// Its path.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// It ran and failed.
    #[error("{program} failed ({status}): {message}")]
    Failed {
        /// Its path.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to stderr, in one line.
        message: String,
    },
}

/// A program that was started.
#[derive(Debug)]
pub struct Running {
    program: String,
    child: Child,
}

/// The path of a program by PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

/// Starts a program with `input` as its standard input, and one variable more
/// in its environment.
///
/// # Errors
/// It cannot be run.
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
        // A file in memory, since a pipe could fill and wait for us.
        Some(text) => Stdio::from(in_memory(text).map_err(failed)?),
    };
    let mut command = Command::new(program);
    command.envs(variable);
    let child = command
        .args(args)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    Ok(Running {
        program: program.to_owned(),
        child,
    })
}

/// Runs a program that goes to the background by itself, to that point. It
/// inherits nothing that would keep a reader of ours waiting.
///
/// # Errors
/// It cannot be run, or it fails.
pub fn start_daemon(
    program: &str,
    args: &[&str],
    (variable, value): (&str, &str),
) -> Result<(), ProcessError> {
    let status = Command::new(program)
        .args(args)
        .env(variable, value)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| ProcessError::Start {
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

fn in_memory(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("input", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

impl Running {
    /// Waits for its end; its standard output.
    ///
    /// # Errors
    /// It did not exit with 0.
    pub fn finish(self) -> Result<String, ProcessError> {
        let program = self.program;
        let output: Output =
            self.child
                .wait_with_output()
                .map_err(|error| ProcessError::Start {
                    program: program.clone(),
                    error,
                })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(ProcessError::Failed {
                program,
                status: output.status,
                message: one_line(&String::from_utf8_lossy(&output.stderr)),
            })
        }
    }
}
