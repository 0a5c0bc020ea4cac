//! The JSON of a MUD file: its entries in their order, each with its matches as they are written.

use serde_json::{Map, Value};
use thiserror::Error;

/// Why a text is no MUD file.
#[derive(Debug, Error)]
pub enum MudError {
    /// It is no JSON.
    #[error("it is no JSON")]
    Json(#[from] serde_json::Error),
    /// A node that RFC 8520 requires is not there, or is of another type.
    #[error("it has no {0}, which RFC 8520 asks for")]
    Missing(&'static str),
    /// A version of MUD that came later.
    #[error("its mud-version is {0}; 1 is known here")]
    Version(Value),
    /// A policy names an access list that is not in the file.
    #[error("its policy names the access list {0:?}, which it does not have")]
    NoSuchList(String),
}

/// Which policy an entry stands in: whose packets it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevicePolicy {
    /// Packets that the device sends.
    FromDevice,
    /// Packets that it is sent.
    ToDevice,
}

/// One entry of an access list (ACE).
#[derive(Debug)]
pub struct AccessEntry {
    /// The name that the file gives it.
    pub name: String,
    /// Whose packets it is about.
    pub policy: DevicePolicy,
    /// Its conditions, as they are written.
    pub matches: Map<String, Value>,
    /// Whether it lets packets through.
    pub accepts: bool,
    /// An entry above it in the same list keeps packets out, so that it says less than it seems to.
    pub after_refusal: bool,
}

/// What a MUD file says.
#[derive(Debug)]
pub struct Description {
    /// Where its maker publishes it.
    pub url: String,
    /// What its maker calls the device.
    pub about: String,
    /// When it was changed last.
    pub updated: String,
    /// Whether its maker still supports the device.
    pub supported: bool,
    /// Every entry, the device's own packets first.
    pub entries: Vec<AccessEntry>,
}

impl Description {
    /// Reads a MUD file.
    ///
    /// # Errors
    /// Returns what it lacks of RFC 8520's model.
    pub fn parse(text: &str) -> Result<Self, MudError> {
        let file: Value = serde_json::from_str(text)?;
        let mud = file
            .get("ietf-mud:mud")
            .ok_or(MudError::Missing("ietf-mud:mud"))?;
        match mud.get("mud-version") {
            Some(version) if version == 1 => {}
            version => return Err(MudError::Version(version.cloned().unwrap_or_default())),
        }
        // Drafts before the RFC, of which many files are, have the second name.
        let lists = [
            "ietf-access-control-list:acls",
            "ietf-access-control-list:access-lists",
        ]
        .iter()
        .find_map(|name| file.get(name)?.get("acl")?.as_array())
        .ok_or(MudError::Missing("ietf-access-control-list:acls"))?;
        let mut entries = Vec::new();
        for (key, policy) in [
            ("from-device-policy", DevicePolicy::FromDevice),
            ("to-device-policy", DevicePolicy::ToDevice),
        ] {
            for name in named_lists(mud, key) {
                let list = lists
                    .iter()
                    .find(|list| list.get("name").and_then(Value::as_str) == Some(name))
                    .ok_or_else(|| MudError::NoSuchList(name.to_owned()))?;
                entries.extend(entries_of(list, policy)?);
            }
        }
        Ok(Self {
            url: text_of(mud, "mud-url"),
            about: text_of(mud, "systeminfo"),
            updated: text_of(mud, "last-update"),
            supported: mud.get("is-supported") != Some(&Value::Bool(false)),
            entries,
        })
    }
}

fn text_of(mud: &Value, key: &str) -> String {
    mud.get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn named_lists<'a>(mud: &'a Value, policy: &str) -> impl Iterator<Item = &'a str> {
    let lists = mud.pointer(&format!("/{policy}/access-lists/access-list"));
    lists
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|list| list.get("name")?.as_str())
}

fn entries_of(list: &Value, policy: DevicePolicy) -> Result<Vec<AccessEntry>, MudError> {
    let entries = list
        .pointer("/aces/ace")
        .and_then(Value::as_array)
        .ok_or(MudError::Missing("aces in an access list"))?;
    let mut after_refusal = false;
    let mut found = Vec::new();
    for entry in entries {
        let forwarding = entry.pointer("/actions/forwarding").and_then(Value::as_str);
        // Also with the prefix of the module that defines the word.
        let accepts = forwarding.is_some_and(|word| word.rsplit(':').next() == Some("accept"));
        found.push(AccessEntry {
            name: text_of(entry, "name"),
            policy,
            matches: match entry.get("matches") {
                Some(Value::Object(matches)) => matches.clone(),
                Some(_) => {
                    return Err(MudError::Missing(
                        "matches in an entry that are a container",
                    ));
                }
                None => Map::new(),
            },
            accepts,
            after_refusal,
        });
        after_refusal |= !accepts;
    }
    Ok(found)
}
