//! A shell script's text as commands with their words, read and never run: variables, and loops over words,
//! are written out; what would take a shell to know is refused with its line.

use std::collections::BTreeMap;

use super::ScriptError;
use super::token::{ShellToken, WordPart, tokens};

/// Loops written out make no more commands than this.
const MOST_COMMANDS: usize = 8192;
/// Loops within loops.
const MOST_DEPTH: usize = 8;

/// A command: its words with variables put in, and where it says what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCommand {
    pub line: usize,
    pub words: Vec<String>,
    /// The file that its output goes to.
    pub writes: Option<String>,
    /// What is written of it in a comment.
    pub text: String,
}

/// What a script's variables end as, and its commands in the order in which a shell would run them.
#[derive(Debug, Default)]
pub struct ShellScript {
    pub commands: Vec<ScriptCommand>,
    /// Each value that a variable had, in the order of the lines.
    pub variables: Vec<(String, String)>,
}

/// Reads a script.
pub fn read(text: &str) -> Result<ShellScript, ScriptError> {
    let tokens = tokens(text)?;
    let mut parser = StatementParser {
        tokens: &tokens,
        at: 0,
    };
    let statements = parser.statements(0)?;
    if let Some((line, token)) = parser.tokens.get(parser.at) {
        return Err(ScriptError::at(*line, format!("{token} has no beginning")));
    }
    let mut runner = ScriptReader::default();
    runner.all(&statements)?;
    Ok(runner.script)
}

type Word = Vec<WordPart>;

enum Statement {
    Simple {
        line: usize,
        words: Vec<Word>,
        writes: Option<Word>,
    },
    For {
        line: usize,
        name: String,
        over: Vec<Word>,
        body: Vec<Statement>,
    },
}

struct StatementParser<'a> {
    tokens: &'a [(usize, ShellToken)],
    at: usize,
}

impl StatementParser<'_> {
    fn next(&mut self) -> Option<(usize, ShellToken)> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// The next word, if it is written without quotes and variables.
    fn keyword(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some((_, ShellToken::Word(word))) => plain(word),
            _ => None,
        }
    }

    /// Statements up to the end, or to the `done` of the loop that they are in, which is read.
    fn statements(&mut self, depth: usize) -> Result<Vec<Statement>, ScriptError> {
        let mut found = Vec::new();
        loop {
            while matches!(self.tokens.get(self.at), Some((_, ShellToken::End))) {
                self.at += 1;
            }
            let Some((line, _)) = self.tokens.get(self.at) else {
                return match depth {
                    0 => Ok(found),
                    _ => Err(ScriptError::at(
                        self.tokens.last().map_or(1, |last| last.0),
                        "a loop has no done",
                    )),
                };
            };
            let line = *line;
            match self.keyword() {
                Some("done") if depth > 0 => {
                    self.at += 1;
                    return Ok(found);
                }
                Some("for") if depth < MOST_DEPTH => found.push(self.read_for(line, depth)?),
                _ => found.push(self.simple(line)?),
            }
        }
    }

    fn read_for(&mut self, line: usize, depth: usize) -> Result<Statement, ScriptError> {
        let shape = || {
            ScriptError::at(
                line,
                "a loop is read as: for NAME in WORDS; do COMMANDS; done",
            )
        };
        self.at += 1;
        let name = self
            .keyword()
            .filter(|name| is_name(name))
            .ok_or_else(shape)?;
        let name = name.to_owned();
        self.at += 1;
        if self.keyword() != Some("in") {
            return Err(shape());
        }
        self.at += 1;
        let mut over = Vec::new();
        loop {
            match self.next() {
                Some((_, ShellToken::Word(word))) => over.push(word),
                Some((_, ShellToken::End)) => break,
                _ => return Err(shape()),
            }
        }
        while matches!(self.tokens.get(self.at), Some((_, ShellToken::End))) {
            self.at += 1;
        }
        if self.keyword() != Some("do") {
            return Err(shape());
        }
        self.at += 1;
        let body = self.statements(depth + 1)?;
        Ok(Statement::For {
            line,
            name,
            over,
            body,
        })
    }

    fn simple(&mut self, line: usize) -> Result<Statement, ScriptError> {
        const NEVER: &[&str] = &[
            "if", "then", "else", "elif", "fi", "case", "esac", "while", "until", "do", "done",
            "for", "in", "function", "select", "{", "}", "[", "[[", "test", "eval", ".", "source",
            "exec", "trap", "read", "shift", "getopts", "alias", "unset",
        ];
        if let Some(word) = self.keyword().filter(|word| NEVER.contains(word)) {
            return Err(ScriptError::at(
                line,
                format!(
                    "{word} is not read here, since it takes a shell to know what it does; write out the commands that are meant"
                ),
            ));
        }
        let (mut words, mut writes) = (Vec::new(), None);
        loop {
            match self.next() {
                None | Some((_, ShellToken::End)) => break,
                Some((_, ShellToken::Word(word))) => words.push(word),
                Some((_, ShellToken::Writes)) => match self.next() {
                    Some((_, ShellToken::Word(word))) if writes.is_none() => writes = Some(word),
                    _ => return Err(ScriptError::at(line, "output goes to one file")),
                },
            }
        }
        Ok(Statement::Simple {
            line,
            words,
            writes,
        })
    }
}

fn plain(word: &[WordPart]) -> Option<&str> {
    match word {
        [
            WordPart::Text {
                text,
                quoted: false,
            },
        ] => Some(text),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[derive(Default)]
struct ScriptReader {
    script: ShellScript,
    values: BTreeMap<String, String>,
    ended: bool,
}

impl ScriptReader {
    fn all(&mut self, statements: &[Statement]) -> Result<(), ScriptError> {
        for statement in statements {
            if self.ended {
                return Ok(());
            }
            match statement {
                Statement::Simple {
                    line,
                    words,
                    writes,
                } => self.simple(*line, words, writes.as_ref())?,
                Statement::For {
                    line,
                    name,
                    over,
                    body,
                } => {
                    for value in self.words(*line, over)? {
                        self.set(*line, name, value)?;
                        self.all(body)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, line: usize, name: &str, value: String) -> Result<(), ScriptError> {
        if name == "IFS" {
            return Err(ScriptError::at(
                line,
                "IFS says where words end, which is white space here; write the words apart",
            ));
        }
        // Loops of loops without commands would go on as well.
        if self.script.variables.len() >= MOST_COMMANDS {
            return Err(too_many(line));
        }
        self.script.variables.push((name.to_owned(), value.clone()));
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    fn simple(
        &mut self,
        line: usize,
        words: &[Word],
        writes: Option<&Word>,
    ) -> Result<(), ScriptError> {
        let mut rest = words;
        if let [word, more @ ..] = rest
            && matches!(
                plain(word),
                Some("export" | "readonly" | "declare" | "local")
            )
            && more.iter().all(|word| self.assigned(word).is_some())
        {
            rest = more;
        }
        let mut assigned = 0;
        while let Some((name, value)) = rest.first().and_then(|word| self.assigned(word)) {
            let value = self.joined(line, &value)?;
            self.set(line, &name, value)?;
            rest = &rest[1..];
            assigned += 1;
        }
        if rest.is_empty() {
            return Ok(());
        }
        if assigned > 0 {
            return Err(ScriptError::at(
                line,
                "a value for one command alone is not read; set the variable on a line of its own",
            ));
        }
        let words = self.words(line, rest)?;
        if words.first().is_some_and(|word| word == "exit") {
            self.ended = true;
            return Ok(());
        }
        if words.get(1).is_some_and(|word| word == "=") {
            return Err(ScriptError::at(
                line,
                format!(
                    "a shell would start a program {:?} here; write {}={} without spaces",
                    words[0],
                    words[0],
                    words.get(2).map_or("", String::as_str)
                ),
            ));
        }
        if self.script.commands.len() >= MOST_COMMANDS {
            return Err(too_many(line));
        }
        let writes = match writes {
            Some(word) => Some(self.joined(line, word)?),
            None => None,
        };
        let text = words.join(" ");
        if !words.is_empty() {
            self.script.commands.push(ScriptCommand {
                line,
                words,
                writes,
                text,
            });
        }
        Ok(())
    }

    /// The name and the value of `NAME=VALUE`.
    fn assigned(&self, word: &Word) -> Option<(String, Word)> {
        let [
            WordPart::Text {
                text,
                quoted: false,
            },
            rest @ ..,
        ] = &word[..]
        else {
            return None;
        };
        let (name, value) = text.split_once('=').filter(|(name, _)| is_name(name))?;
        let mut parts = vec![WordPart::Text {
            text: value.to_owned(),
            quoted: false,
        }];
        parts.extend_from_slice(rest);
        Some((name.to_owned(), parts))
    }

    fn value(&self, line: usize, name: &str) -> Result<&str, ScriptError> {
        let value = self.values.get(name).map(String::as_str);
        value.ok_or_else(|| {
            ScriptError::at(
                line,
                format!("${name} has no value in this file; set it above"),
            )
        })
    }

    /// A word's text without splitting it, as a shell takes the value of an assignment.
    fn joined(&self, line: usize, word: &Word) -> Result<String, ScriptError> {
        let mut text = String::new();
        for part in word {
            match part {
                WordPart::Text { text: more, .. } => text.push_str(more),
                WordPart::Variable { name, .. } => text.push_str(self.value(line, name)?),
            }
        }
        Ok(text)
    }

    /// Words with their variables put in, split at white space where no quotes hold them together.
    fn words(&self, line: usize, words: &[Word]) -> Result<Vec<String>, ScriptError> {
        let mut all = Vec::new();
        for word in words {
            let mut now: Option<String> = None;
            for part in word {
                match part {
                    WordPart::Text { text, .. } => now.get_or_insert_default().push_str(text),
                    WordPart::Variable { name, quoted: true } => {
                        now.get_or_insert_default()
                            .push_str(self.value(line, name)?);
                    }
                    WordPart::Variable {
                        name,
                        quoted: false,
                    } => {
                        let value = self.value(line, name)?;
                        if value.contains(['*', '?', '[']) {
                            return Err(ScriptError::at(
                                line,
                                format!(
                                    "${name} has a pattern of file names in it; put it into quotes"
                                ),
                            ));
                        }
                        let (begins, ends) = (
                            value.starts_with(char::is_whitespace),
                            value.ends_with(char::is_whitespace),
                        );
                        if begins {
                            all.extend(now.take());
                        }
                        for (at, piece) in value.split_whitespace().enumerate() {
                            if at > 0 {
                                all.extend(now.take());
                            }
                            now.get_or_insert_default().push_str(piece);
                        }
                        if ends {
                            all.extend(now.take());
                        }
                    }
                }
            }
            all.extend(now);
            if all.len() > MOST_COMMANDS {
                return Err(too_many(line));
            }
        }
        Ok(all)
    }
}

fn too_many(line: usize) -> ScriptError {
    ScriptError::at(
        line,
        format!("more than {MOST_COMMANDS} commands or words, with its loops written out"),
    )
}
