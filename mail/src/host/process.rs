//! This process: its arguments, whose it is, and what it can never become.

use std::path::PathBuf;

/// The folder of the settings, if the command line names one.
pub fn argument() -> Option<PathBuf> {
    std::env::args_os().nth(1).map(PathBuf::from)
}

/// Whether it runs as root, or could become it.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root() || nix::unistd::getuid().is_root()
}

/// No program that it starts gets rights that it has not, as by a setuid bit.
///
/// # Errors
/// Returns an error if the kernel refuses.
pub fn give_up_rights() -> std::io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// The text of a file that root wrote for this program.
///
/// # Errors
/// Returns an error with the path.
pub fn read(path: &std::path::Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
