//! The known word that a mistyped one most likely stands for.

use crate::look_alike::look_alike;

/// The known word nearest to a mistyped one; None if none is near.
///
/// Capital letters, `_` and `-` do not count. Otherwise a third of the letters may be
/// wrong, missing, added or swapped with their neighbour.
fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace('_', "-");
    let written = plain(written);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&written, &plain(word)), word))
        .filter(|(distance, word)| distance * 3 <= word.len().max(written.len()))
        // Letters are swapped more often than left out: rtps is rtsp, not rtp.
        .min_by_key(|(distance, word)| (*distance, word.len().abs_diff(written.len())))
        .map(|(_, word)| word)
}

/// What to write instead of an unknown word: the nearest known one, or one of all.
pub(crate) fn instead<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    did_you_mean(written, known.clone()).unwrap_or_else(|| {
        let all: Vec<&str> = known.into_iter().collect();
        format!("use one of {}", all.join(", "))
    })
}

/// Asks for the nearest known word; None if none is near.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let known = nearest(written, known)?;
    Some(match look_alike(written) {
        Some(told) => format!("did you mean {known}? {told}"),
        None => format!("did you mean {known}?"),
    })
}

/// Asks for the one known word that a mistyped one could begin; None if there are several.
pub(crate) fn does_it_begin<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let length = written.chars().count();
    let begins = |word: &&str| {
        let beginning: String = word.chars().take(length).collect();
        strsim::osa_distance(written, &beginning) <= 1
    };
    let mut words = known.into_iter().filter(begins);
    let word = words.next().filter(|_| length >= SHORTEST)?;
    let is_one = words.next().is_none();
    is_one.then(|| format!("did you mean {word}?"))
}

/// The fewest letters that say what a word is the beginning of.
const SHORTEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::{does_it_begin, instead, nearest};

    #[test]
    fn finds_the_one_word_that_is_begun() {
        let known = ["show rules", "show network", "blocked", "status"];
        let meant = |written| does_it_begin(written, known);
        assert_eq!(meant("blok").as_deref(), Some("did you mean blocked?"));
        assert_eq!(meant("stat").as_deref(), Some("did you mean status?"));
        for unclear in ["sho", "fly", "bl", ""] {
            assert_eq!(meant(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn finds_what_was_meant_and_nothing_far() {
        let known = ["external", "camera", "known-only", "address", "rtp", "rtsp"];
        for (written, meant) in [
            ("adress", Some("address")),
            ("known_only", Some("known-only")),
            ("rtps", Some("rtsp")),
            ("Camera", Some("camera")),
            ("cam", None),
            ("gateway", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(instead("adress", known), "did you mean address?");
        assert_eq!(instead("x", ["a-b", "c-d"]), "use one of a-b, c-d");
    }
}
