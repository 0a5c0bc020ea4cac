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
    let mut text = without_number(error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = without_number(error.to_string());
        // Some errors already include their cause in their own text.
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        cause = error.source();
    }
    text
}

/// The text without the number that [`std::io::Error`] adds to the words of an error.
pub fn without_number(mut text: String) -> String {
    const NUMBER: &str = " (os error ";
    while let Some(start) = text.find(NUMBER) {
        let Some(length) = text[start..].find(')') else {
            break;
        };
        text.replace_range(start..=start + length, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_words_alone() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(with_causes(&error), "No such file or directory");
        let twice = format!("{error}; {error}: x (os error");
        assert_eq!(
            without_number(twice),
            "No such file or directory; No such file or directory: x (os error"
        );
    }
}
