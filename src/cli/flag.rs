//! A flag, defined once as data: help, manual and completion are made from it, and
//! a command reads it by it.

/// What may be given to a command as `--NAME`, or `--NAME VALUE`.
#[derive(Debug)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// The one letter that stands for it.
    pub short: Option<char>,
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    /// What it does, in a line or more.
    pub help: &'static str,
}

impl Flag {
    /// One without a value.
    pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
        Flag {
            name,
            short: None,
            value: None,
            help,
        }
    }

    /// One that takes a value.
    pub(super) const fn valued(
        name: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Flag {
        Flag {
            value: Some(value),
            ..Flag::switch(name, help)
        }
    }

    /// The same, with a letter.
    pub(super) const fn short(self, short: char) -> Flag {
        Flag {
            short: Some(short),
            ..self
        }
    }

    /// `--confirm SECONDS`
    pub fn written(&self) -> String {
        match self.value {
            Some(value) => format!("--{} {value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}
