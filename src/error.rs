//! What errors of every room have in common.

use std::error::Error;

use thiserror::Error;

/// Why a word is not a value of the type that it was read as: what is wrong with
/// it, and what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);

/// An error and its causes, from the outermost on, in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some tell their cause themselves.
        if !text.contains(&told) {
            text += &format!(": {told}");
        }
        cause = error.source();
    }
    text
}
