//! The binary: takes its settings and its lock, then relays until it is ended.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use camfw_mail::host::state_file::RelayState;
use camfw_mail::host::{log, process};
use camfw_mail::relay::Relay;
use camfw_mail::settings::Settings;

/// Where the settings, the mail program's configuration and the state are.
const FOLDER: &str = "/run/camfw-mail";

/// What a refusal exits with, as camfw's.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    match start() {
        Ok(mut relay) => relay.run(),
        Err(error) => {
            log::error(&error.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn start() -> Result<Relay, Box<dyn Error>> {
    if process::is_root() {
        return Err(
            "it never runs as root; start it as the user camfw-mail, as its init script does"
                .into(),
        );
    }
    process::give_up_rights()?;
    let folder = process::argument().unwrap_or_else(|| PathBuf::from(FOLDER));
    let settings = Settings::parse(&process::read(&folder.join("settings"))?)?;
    let state = RelayState::take(&folder.join("state"))?;
    Ok(Relay::new(settings, folder.join("msmtprc"), state))
}
