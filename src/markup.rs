//! Text as HTML and SVG.
//!
//! Owns the one escaper. What is written as markup is a literal of this program, by its
//! type; everything else is escaped.

use std::fmt::Display;

/// Attributes of an element: names with values.
pub(crate) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// A text with markup that is being written.
#[derive(Debug, Default)]
pub(crate) struct Markup(String);

impl Markup {
    /// Adds markup as it is.
    pub(crate) fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Adds text, escaped.
    pub(crate) fn text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                _ if is_hidden(letter) => self.0.push('\u{fffd}'),
                _ => self.0.push(letter),
            }
        }
    }

    /// Begins an element.
    pub(crate) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.raw("<");
        self.raw(name);
        for (attribute, value) in attributes {
            self.raw(" ");
            self.raw(attribute);
            self.raw("=\"");
            self.text(&value.to_string());
            self.raw("\"");
        }
        self.raw(">");
    }

    /// Ends an element.
    pub(crate) fn close(&mut self, name: &'static str) {
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    /// An element with text in it, or none.
    pub(crate) fn element(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        self.open(name, attributes);
        self.text(text);
        self.close(name);
    }

    /// Adds what was written apart.
    pub(crate) fn append(&mut self, other: Markup) {
        self.0.push_str(&other.0);
    }

    /// How long it is, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// Whether it would not be seen, or would change the order in which others are seen.
/// Control characters may not be in XML at all (XML 1.0, 2.2).
fn is_hidden(letter: char) -> bool {
    letter.is_control() && letter != '\n'
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_literals_is_markup() {
        let mut page = Markup::default();
        let name = "<script>alert('a\"&b')</script>\u{1b}[2J\u{202e}";
        page.element("td", &[("title", &name)], name);
        let escaped =
            "&lt;script&gt;alert(&#39;a&quot;&amp;b&#39;)&lt;/script&gt;\u{fffd}[2J\u{fffd}";
        assert_eq!(
            page.finish(),
            format!("<td title=\"{escaped}\">{escaped}</td>")
        );
    }
}
