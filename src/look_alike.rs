//! Characters that look like another, or cannot be seen: what copying from a web page, a
//! chat or another keyboard leaves in a file.

/// Letters of other alphabets, each before the Latin one that it looks like.
const LOOK_ALIKES: &str = "аaеeоoрpсcуyхxіiјjѕsԁdһhАAВBЕEКKМMНHОOРPСCТTХXοoαaνvρpιiΑAΒBΕEΙIΟOΡPΤT";

/// What the first such character of a text is, and what to write; None if there is none.
pub(crate) fn look_alike(text: &str) -> Option<String> {
    text.chars()
        .filter(|c| !c.is_ascii())
        .find_map(|c| told(c, u32::from(c)))
}

fn told(c: char, code: u32) -> Option<String> {
    Some(match c {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => {
            format!("U+{code:04X} in it is a no-break space; write a plain space or none")
        }
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {
            format!("U+{code:04X} in it cannot be seen; delete it")
        }
        '\u{ff01}'..='\u{ff5e}' => {
            let plain = char::from_u32(code - 0xfee0)?;
            format!("{c} is a full-width character; write {plain}")
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' => {
            format!("{c} (U+{code:04X}) is a dash; write -")
        }
        _ if c.is_whitespace() => {
            format!("U+{code:04X} in it is a space other than the plain one; write that or none")
        }
        _ => {
            let mut letters = LOOK_ALIKES.chars();
            letters.find(|letter| *letter == c)?;
            let plain = letters.next()?;
            format!("{c} (U+{code:04X}) is not the Latin letter that it looks like; write {plain}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_alike_has_its_latin_letter() {
        let letters: Vec<char> = LOOK_ALIKES.chars().collect();
        for pair in letters.chunks(2) {
            assert!(
                matches!(pair, [other, latin] if !other.is_ascii() && latin.is_ascii_alphabetic()),
                "{pair:?}"
            );
        }
        assert_eq!(look_alike("camera ü"), None);
        for (text, write) in [
            ("c\u{430}m", "write a"),
            ("a\u{a0}b", "plain space"),
            ("\u{ff1d}", "write ="),
        ] {
            let told = look_alike(text).unwrap_or_default();
            assert!(told.contains(write), "{told}");
        }
    }
}
