//! Which of several ways out is in use, and why not the others, in words.

use crate::json::json_object;

/// One of several ways out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WayReport {
    /// The zone.
    pub(crate) zone: String,
    /// Its interface.
    pub(crate) interface: String,
    /// Its metric in the file: the lowest is preferred.
    pub(crate) metric: u32,
    /// Whether the default route leads by it.
    pub(crate) in_use: bool,
    /// Whether it is alive, as far as is known.
    pub(crate) alive: bool,
    /// Since when it is in use, or not alive; in seconds since 1970.
    pub(crate) since: Option<u64>,
    /// Why it is not alive, or not used yet.
    pub(crate) why: Option<String>,
    /// Since when it is alive again, while it has to hold before it is used.
    pub(crate) holds_since: Option<u64>,
    /// Whether `watch` runs, and looks after it.
    pub(crate) watched: bool,
}

json_object!(WayReport {
    zone,
    interface,
    metric,
    in_use,
    alive,
    since,
    why,
    holds_since,
    watched
});

impl WayReport {
    /// What it does, in words.
    pub(crate) fn state(&self) -> &'static str {
        match (self.in_use, self.alive, self.holds_since) {
            (true, ..) => "in use",
            (false, true, _) => "stands by",
            (false, false, Some(_)) => "alive again",
            (false, false, None) => "not alive",
        }
    }
}

/// What needs attention.
pub(crate) fn needs(ways: &[WayReport]) -> Vec<String> {
    let dead = ways.iter().filter_map(|way| {
        let why = way.why.as_ref()?;
        Some(format!("way out {}: {why}", way.zone))
    });
    let unwatched = ways.iter().take(1).filter(|way| !way.watched);
    let unwatched = unwatched.map(|_| {
        "ways out are not watched, and only one without carrier gives way: camfw watch does not run"
            .to_owned()
    });
    unwatched.chain(dead).collect()
}

/// The ways in one line; None if there are none. `since` tells a time in words.
pub(crate) fn in_words(ways: &[WayReport], since: impl Fn(u64) -> String) -> Option<String> {
    let words = ways.iter().map(|way| {
        let state = way.state();
        let since = way
            .holds_since
            .or(way.since)
            .map(|it| format!(" {}", since(it)));
        format!("{} {state}{}", way.zone, since.unwrap_or_default())
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| format!("ways out: {}", words.join(", ")))
}
