//! The exit codes of every command.

/// The exit code of a command, for the process that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// The command did all of its work.
    Done = 0,
    /// A comparison does not hold, or the work was done only in part.
    DoesNotHold = 1,
    /// The request was refused before anything was changed.
    Refused = 2,
    /// The box is sealed: no packet passes between zones.
    Sealed = 3,
    /// Sealing the box failed.
    Unsealed = 4,
}

impl ExitCode {
    /// All exit codes, in numeric order.
    pub const ALL: [ExitCode; 5] = [
        ExitCode::Done,
        ExitCode::DoesNotHold,
        ExitCode::Refused,
        ExitCode::Sealed,
        ExitCode::Unsealed,
    ];

    /// `Done` if `holds`, else `DoesNotHold`.
    pub(crate) fn of(holds: bool) -> ExitCode {
        match holds {
            true => ExitCode::Done,
            false => ExitCode::DoesNotHold,
        }
    }

    /// What the code means, as lines for the help text and the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Done => "applied, or it holds",
            ExitCode::DoesNotHold => {
                "it does not hold; applied but incomplete, or not all could be kept;\n\
                 rolled back; the last good policy and not the file"
            }
            ExitCode::Refused => {
                "refused, nothing changed: bad usage or file, no root, what is missing\n\
                 on this box, other programs' rules (boot: sealed)"
            }
            ExitCode::Sealed => "sealed, or not forwarding: nothing passes between zones",
            ExitCode::Unsealed => "unsealed: could not even do that",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        (code as u8).into()
    }
}
