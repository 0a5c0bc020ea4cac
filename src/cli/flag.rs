//! The definition of a flag, as data: help, manual and shell completion are generated
//! from it, and the parser uses it.

/// A flag: `--NAME`, or `--NAME VALUE`.
#[derive(Debug)]
pub struct Flag {
    /// The name, without dashes.
    pub name: &'static str,
    /// The one-letter form.
    pub short: Option<char>,
    /// The placeholder of the value, if the flag takes one.
    pub value: Option<&'static str>,
    /// The description, one line or more.
    pub help: &'static str,
}

impl Flag {
    /// Creates a flag without a value.
    pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
        Flag {
            name,
            short: None,
            value: None,
            help,
        }
    }

    /// Creates a flag with a value.
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

    /// Adds a one-letter form.
    pub(super) const fn short(self, short: char) -> Flag {
        Flag {
            short: Some(short),
            ..self
        }
    }

    /// The flag with its placeholder, such as `--confirm SECONDS`.
    pub fn written(&self) -> String {
        match self.value {
            Some(value) => format!("--{} {value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}
