//! The characters of a shell script as words and ends of commands. What a shell would do more with than this
//! is refused here.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use super::ScriptError;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordPart {
    Text { text: String, quoted: bool },
    Variable { name: String, quoted: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShellToken {
    Word(Vec<WordPart>),
    /// `>` or `>>`; the file is the next word. What goes to /dev/null or to another stream is left out.
    Writes,
    /// The end of a line, or `;`.
    End,
}

impl fmt::Display for ShellToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(parts) => match parts.first() {
                Some(WordPart::Text { text, .. }) => f.write_str(text),
                _ => f.write_str("a variable"),
            },
            Self::Writes => f.write_str(">"),
            Self::End => f.write_str("a line's end"),
        }
    }
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    found: Vec<(usize, ShellToken)>,
}

/// Splits a script, each token with its line.
pub fn tokens(text: &str) -> Result<Vec<(usize, ShellToken)>, ScriptError> {
    let mut lexer = Lexer {
        rest: text.chars().peekable(),
        line: 1,
        found: Vec::new(),
    };
    while let Some(&next) = lexer.rest.peek() {
        lexer.token(next)?;
    }
    Ok(lexer.found)
}

impl Lexer<'_> {
    fn refuse<T>(&self, why: impl Into<String>) -> Result<T, ScriptError> {
        Err(ScriptError::at(self.line, why))
    }

    fn push(&mut self, token: ShellToken) {
        self.found.push((self.line, token));
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn token(&mut self, next: char) -> Result<(), ScriptError> {
        match next {
            '\n' | ';' => {
                self.push(ShellToken::End);
                self.next();
                if next == ';' && self.rest.peek() == Some(&';') {
                    return self.refuse(";; is of a case, which is not read here");
                }
            }
            ' ' | '\t' | '\r' => {
                self.next();
            }
            '#' => {
                while self.rest.peek().is_some_and(|it| *it != '\n') {
                    self.next();
                }
            }
            '&' | '|' => return self.and_or(next),
            '<' => {
                return self.refuse(
                    "what is read from a file or from the lines below (<) is not known here",
                );
            }
            '(' | ')' => {
                return self
                    .refuse("functions and subshells are not read here; write out the commands");
            }
            '>' => return self.output(),
            _ => {
                let line = self.line;
                let word = self.word()?;
                if !word.is_empty() {
                    self.found.push((line, ShellToken::Word(word)));
                }
            }
        }
        Ok(())
    }

    /// `|| true` changes nothing for who reads; `&>/dev/null` neither.
    fn and_or(&mut self, first: char) -> Result<(), ScriptError> {
        self.next();
        if first == '&' && self.rest.peek() == Some(&'>') {
            return self.output();
        }
        if first == '|' && self.rest.next_if_eq(&'|').is_some() {
            while self.rest.next_if(|next| " \t".contains(*next)).is_some() {}
            let word = self.word()?;
            let is_nothing = |it: &WordPart| matches!(it, WordPart::Text { text, quoted: false } if text == "true" || text == ":");
            if let [only] = &word[..]
                && is_nothing(only)
            {
                return Ok(());
            }
        }
        self.refuse(
            "&&, ||, | and & make a command depend on another one; write each on a line of its own",
        )
    }

    fn output(&mut self) -> Result<(), ScriptError> {
        self.next();
        let appends = self.rest.next_if_eq(&'>').is_some();
        // `>|` overwrites, `>&2` is another stream.
        if self.rest.next_if_eq(&'&').is_some() {
            let stream = self.word()?;
            return match &stream[..] {
                [WordPart::Text { text, .. }]
                    if ["1", "2", "-"].contains(&text.as_str()) && !appends =>
                {
                    Ok(())
                }
                _ => self.refuse("output goes to a file, or to 1 or 2"),
            };
        }
        while self.rest.next_if(|next| " \t".contains(*next)).is_some() {}
        let line = self.line;
        let file = self.word()?;
        match &file[..] {
            [] => self.refuse("> has no file"),
            [WordPart::Text { text, .. }] if text == "/dev/null" => Ok(()),
            _ => {
                self.found.push((line, ShellToken::Writes));
                self.found.push((line, ShellToken::Word(file)));
                Ok(())
            }
        }
    }

    fn word(&mut self) -> Result<Vec<WordPart>, ScriptError> {
        let mut parts: Vec<WordPart> = Vec::new();
        let mut text = String::new();
        let flush = |text: &mut String, parts: &mut Vec<WordPart>| {
            if !text.is_empty() {
                parts.push(WordPart::Text {
                    text: std::mem::take(text),
                    quoted: false,
                });
            }
        };
        while let Some(&next) = self.rest.peek() {
            match next {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '(' | ')' => break,
                '>' => {
                    // `2>` is the number of a stream and no word.
                    if parts.is_empty() && ["1", "2"].contains(&text.as_str()) {
                        text.clear();
                    }
                    break;
                }
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') => {}
                        Some('\r') if self.rest.peek() == Some(&'\n') => {
                            self.next();
                        }
                        Some(other) => {
                            flush(&mut text, &mut parts);
                            parts.push(WordPart::Text {
                                text: other.to_string(),
                                quoted: true,
                            });
                        }
                        None => {}
                    }
                }
                '\'' => {
                    flush(&mut text, &mut parts);
                    self.next();
                    let begun = self.line;
                    let mut inside = String::new();
                    loop {
                        match self.next() {
                            Some('\'') => break,
                            Some(other) => inside.push(other),
                            None => return Err(ScriptError::at(begun, "a quote has no end")),
                        }
                    }
                    parts.push(WordPart::Text {
                        text: inside,
                        quoted: true,
                    });
                }
                '"' => {
                    flush(&mut text, &mut parts);
                    self.next();
                    self.double_quoted(&mut parts)?;
                }
                '$' => {
                    flush(&mut text, &mut parts);
                    self.next();
                    parts.push(WordPart::Variable {
                        name: self.variable()?,
                        quoted: false,
                    });
                }
                '`' => {
                    return self.refuse(
                        "`…` is what a command prints, which is not known here; write its value",
                    );
                }
                '*' | '?' | '[' if parts.is_empty() && text.is_empty() && next == '[' => {
                    // The word `[`, which is refused as a command.
                    text.push(next);
                    self.next();
                }
                '*' | '?' | '[' => {
                    return self
                        .refuse("a pattern of file names is not known here; put it into quotes");
                }
                '~' if parts.is_empty() && text.is_empty() => {
                    return self.refuse("~ is a folder that is not known here; write its path");
                }
                '{' if !text.is_empty() || !parts.is_empty() => {
                    return self.refuse("{…} within a word is several words; write them out");
                }
                other => {
                    text.push(other);
                    self.next();
                }
            }
        }
        flush(&mut text, &mut parts);
        Ok(parts)
    }

    fn double_quoted(&mut self, parts: &mut Vec<WordPart>) -> Result<(), ScriptError> {
        let begun = self.line;
        let mut text = String::new();
        loop {
            let next = self.next();
            match next {
                None => return Err(ScriptError::at(begun, "a quote has no end")),
                Some('"') => break,
                Some('`') => {
                    return self.refuse(
                        "`…` is what a command prints, which is not known here; write its value",
                    );
                }
                Some('$') => {
                    parts.push(WordPart::Text {
                        text: std::mem::take(&mut text),
                        quoted: true,
                    });
                    parts.push(WordPart::Variable {
                        name: self.variable()?,
                        quoted: true,
                    });
                }
                Some('\\') => match self.next() {
                    Some('\n') | None => {}
                    Some(special @ ('"' | '\\' | '$' | '`')) => text.push(special),
                    Some(other) => {
                        text.push('\\');
                        text.push(other);
                    }
                },
                Some(other) => text.push(other),
            }
        }
        parts.push(WordPart::Text { text, quoted: true });
        Ok(())
    }

    /// The name after a `$`.
    fn variable(&mut self) -> Result<String, ScriptError> {
        let braces = self.rest.next_if_eq(&'{').is_some();
        let mut name = String::new();
        while let Some(next) = self
            .rest
            .next_if(|next| next.is_ascii_alphanumeric() || *next == '_')
        {
            name.push(next);
        }
        if !braces && self.rest.peek() == Some(&'(') {
            return self
                .refuse("$(…) is what a command prints, which is not known here; write its value");
        }
        if braces && self.next() != Some('}') {
            return self.refuse(format!(
                "${{{name}…}} is more than a variable's value; write the value"
            ));
        }
        match name.bytes().next() {
            Some(first) if !first.is_ascii_digit() => Ok(name),
            _ => self.refuse(
                "what the script is called with ($1, $@, $?) is not known here; write the value",
            ),
        }
    }
}
