//! Error helpers shared by all modules.

use std::error::Error;

use thiserror::Error;

/// A word that cannot be parsed as a value of the requested type: what is wrong with
/// it, and what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);

/// Renders an error and its chain of causes, outermost first, as one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = error.to_string();
        // Some errors already include their cause in their own text.
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        cause = error.source();
    }
    text
}
