//! The signature of a MUD file: CMS, detached, in DER (RFC 8520, 13.), held by the openssl program.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;

/// openssl reads two files and computes: it needs no more than a moment.
const LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// Why a signature does not hold.
#[derive(Debug, Error)]
pub enum SignatureError {
    /// The program is not there.
    #[error("there is no openssl program to hold the signature against the file; install openssl")]
    NoProgram,
    /// It could not be started or waited for.
    #[error("openssl could not be run")]
    Run(#[from] io::Error),
    /// It does not end.
    #[error("openssl did not end within {} s", LIMIT.as_secs())]
    Late,
    /// It says no.
    #[error("the signature does not hold: {0}")]
    Wrong(String),
}

/// Holds a detached signature against a file.
///
/// # Errors
/// Returns an error unless the file is what was signed, by a certificate that leads to `authority`, or to one
/// that this machine trusts.
pub fn verify(
    file: &Path,
    signature: &Path,
    authority: Option<&Path>,
) -> Result<(), SignatureError> {
    let mut command = Command::new("openssl");
    command.args([
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-purpose",
        "any",
        "-out",
        "/dev/null",
    ]);
    command.arg("-in").arg(signature).arg("-content").arg(file);
    if let Some(authority) = authority {
        command
            .arg("-CAfile")
            .arg(authority)
            .args(["-no-CApath", "-no-CAstore"]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SignatureError::NoProgram,
        _ => SignatureError::Run(error),
    })?;
    judge(child)
}

fn judge(mut child: Child) -> Result<(), SignatureError> {
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Err(SignatureError::Late);
        }
        std::thread::sleep(LOOK);
    };
    if status.success() {
        return Ok(());
    }
    let said = io::read_to_string(
        child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("no stderr"))?,
    )?;
    // What it is about stands in the first line that is an error; the last of its fields says it in words.
    let line = said
        .lines()
        .find(|line| line.contains("error:") || line.contains("rror "));
    let words = line
        .and_then(|line| line.rsplit("error:").next())
        .unwrap_or("openssl says no more");
    Err(SignatureError::Wrong(words.trim().to_owned()))
}
