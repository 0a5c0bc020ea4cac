//! All that touches the world: the upload folders, the mail program, the relay's own
//! state, the clock, the log.
//!
//! As in camfw itself, each file handles one interface to the system and decides nothing.

pub mod clock;
pub mod log;
pub mod mailer;
pub mod process;
pub mod state_file;
pub mod upload;
