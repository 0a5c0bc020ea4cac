//! How uploads become mail: what `camfw-mail` and the servers beside it are told.

use std::net::Ipv4Addr;

use crate::name::CameraName;

/// `[mail]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Each key with its values. They stay text: other programs read them, camfw does not.
    pub values: Vec<(&'static str, Vec<String>)>,
    /// The cameras whose uploads are sent, with their addresses; none if the file lists no
    /// cameras, and all share one folder.
    pub cameras: Vec<(CameraName, Ipv4Addr)>,
}

impl Mail {
    /// The values of a key; none if it has neither a value nor a default.
    pub fn all(&self, key: &str) -> &[String] {
        let found = self.values.iter().find(|(name, _)| *name == key);
        found.map_or(&[], |(_, values)| values)
    }

    /// The value of a key that has one; empty without.
    pub fn one(&self, key: &str) -> &str {
        self.all(key).first().map_or("", String::as_str)
    }
}
