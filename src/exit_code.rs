//! How a command ends, for whoever started it.

/// The exit code of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Not so, or not all of it.
    DoesNotHold = 1,
    /// Refused before anything was changed.
    Refused = 2,
    /// Nothing passes between zones.
    Sealed = 3,
    /// The box could not be closed.
    Unsealed = 4,
}

impl ExitCode {
    /// Every one, in order.
    pub const ALL: [ExitCode; 5] = [
        ExitCode::Done,
        ExitCode::DoesNotHold,
        ExitCode::Refused,
        ExitCode::Sealed,
        ExitCode::Unsealed,
    ];

    /// `Done` or `DoesNotHold`.
    pub(crate) fn of(holds: bool) -> ExitCode {
        match holds {
            true => ExitCode::Done,
            false => ExitCode::DoesNotHold,
        }
    }

    /// What it means, in lines for help and manual.
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
