//! Several ways out: which of them are set aside, since they are not alive.
//!
//! `watch` alone decides it, and writes it down in /run; whoever makes a plan goes by that, so
//! that no command puts a dead way back. Only routes follow of it: the rules of every way are
//! there all the time. After a reboot all are alive until `watch` sees otherwise.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::error::with_causes;
use crate::host::netlink::NetlinkError;
use crate::host::post::Post;
use crate::host::store::{self, StoreError, StorePlace};
use crate::host::{clock, conntrack, netlink};
use crate::json::{JsonError, JsonMembers, json_object, to_json};
use crate::net::{Current, HOLD, RouterAnswer, Wanted, WayState, WayWatch};
use crate::observe::presence::Presence;
use crate::observe::ways::WayReport;
use crate::plan::Plan;

/// How often routers are asked for.
pub(super) const EVERY: Duration = Duration::from_secs(5);

const NAME: &str = "ways-out.json";
const VERSION: u64 = 1;

/// The format of the file.
#[derive(Debug, Clone, PartialEq)]
struct WaysFile {
    version: u64,
    /// The zone of the way in use; where none is alive, of the one that was last.
    in_use: Option<String>,
    since: u64,
    aside: Vec<WayAside>,
}

json_object!(WaysFile {
    version,
    in_use,
    since,
    aside
});

/// A way that is set aside.
#[derive(Debug, Clone, PartialEq)]
struct WayAside {
    zone: String,
    why: String,
    since: u64,
    /// Since when it is alive again, and not yet for as long as it must hold.
    holds_since: Option<u64>,
}

json_object!(WayAside {
    zone,
    why,
    since,
    holds_since
});

impl WayAside {
    /// Why it is not in use: what it died of is mended while it holds.
    fn told(&self, holds_since: Option<u64>) -> String {
        let Some(since) = holds_since else {
            return self.why.clone();
        };
        let seconds = clock::now().saturating_sub(since);
        format!("alive again for {seconds} s; used after {HOLD} s")
    }
}

impl WaysFile {
    fn parse(text: &str) -> Result<WaysFile, JsonError> {
        let mut members = JsonMembers::parse(text)?;
        let mut aside = Vec::new();
        let list: Vec<JsonMembers> = members.needed("aside")?;
        for mut way in list {
            aside.push(WayAside {
                zone: way.needed("zone")?,
                why: way.needed("why")?,
                since: way.needed("since")?,
                holds_since: way.given("holds_since")?,
            });
            way.end()?;
        }
        let file = WaysFile {
            version: members.needed("version")?,
            in_use: members.given("in_use")?,
            since: members.needed("since")?,
            aside,
        };
        members.end()?;
        Ok(file)
    }

    /// What was written; None if that is nothing, or of another version: then all ways are
    /// alive until they are looked at.
    fn read() -> Option<WaysFile> {
        let text = store::read(StorePlace::Run, NAME).ok()??;
        let file = WaysFile::parse(&text).ok()?;
        (file.version == VERSION).then_some(file)
    }

    fn write(&self) -> Result<(), StoreError> {
        store::write(StorePlace::Run, NAME, &(to_json(self) + "\n"))
    }

    fn aside(&self, zone: &str) -> Option<&WayAside> {
        self.aside.iter().find(|way| way.zone == zone)
    }

    /// Whether the routes of others come before a way's. Where none is alive there is none that
    /// it could be left for: it stays, and what is open by it goes on once it is back.
    fn is_left(&self, zone: &str) -> bool {
        self.aside(zone).is_some() && self.in_use.as_deref() != Some(zone)
    }

    /// Keeps what a look found of the same ways, which changes no route. Should that fail,
    /// `status` is behind, and whoever settles the ways tells the error.
    fn keep_same(mut self, aside: &[WayAside]) {
        if self.aside != aside && zones(&self.aside) == zones(aside) {
            self.aside = aside.to_vec();
            let _ = self.write();
        }
    }
}

/// Puts the routes of ways that are set aside behind the others.
pub(super) fn set_aside(network: &mut Wanted) {
    if network.ways.is_empty() {
        return;
    }
    let known = WaysFile::read();
    network.set_aside(|zone| known.as_ref().is_some_and(|it| it.is_left(zone)));
}

/// Why ways out could not be looked after.
#[derive(Debug, Error)]
pub(super) enum WaysError {
    #[error("cannot tell which ways out are alive")]
    Netlink(#[from] NetlinkError),
    #[error("cannot keep which ways out are alive: another command takes a dead one back")]
    Store(#[from] StoreError),
    #[error("cannot end connections by the way out that was left; new ones go by the other")]
    Conntrack(#[from] io::Error),
}

/// What `watch` knows of ways out.
#[derive(Default)]
pub(super) struct WaysWatch {
    watch: WayWatch,
    /// The zones whose ways are not alive, as of the last look.
    dead: BTreeSet<String>,
    /// The zones whose ways were left, and whose connections are still to be ended.
    left: Vec<String>,
}

impl WaysWatch {
    /// Whether a way is to be set aside or used again.
    pub(super) fn is_changed(&mut self, plan: &Plan) -> bool {
        let network = &plan.network;
        if network.ways.is_empty() {
            return false;
        }
        let seen = netlink::read_without_hooks().and_then(|current| self.look(network, &current));
        // The next look tells an error.
        seen.is_ok_and(|aside| zones(&aside) != self.dead)
    }

    /// Decides which ways are set aside, and has the plan be so.
    pub(super) fn settle(&mut self, plan: &mut Plan) -> Result<(), WaysError> {
        let network = &mut plan.network;
        if network.ways.is_empty() {
            return Ok(());
        }
        let aside = self.look(network, &netlink::read_without_hooks()?)?;
        self.dead = zones(&aside);
        let kept = WaysFile::read();
        let is_kept = kept.is_some();
        // Nothing is known yet of a way that nobody looked at: it is alive.
        let before = kept.unwrap_or_else(|| WaysFile {
            version: VERSION,
            in_use: network.ways.first().map(|way| way.zone.clone()),
            since: clock::now(),
            aside: Vec::new(),
        });
        let alive = network.ways.iter().map(|way| &way.zone);
        let mut alive = alive.filter(|zone| !self.dead.contains(*zone));
        let in_use = alive.next().or(before.in_use.as_ref()).cloned();
        let after = WaysFile {
            version: VERSION,
            since: match before.in_use == in_use {
                true => before.since,
                false => clock::now(),
            },
            in_use,
            aside,
        };
        network.set_aside(|zone| after.is_left(zone));
        if is_kept && before == after {
            return Ok(());
        }
        after.write()?;
        let now = clock::uptime();
        for line in told(&before, &after, network.ways.len()) {
            if self.watch.is_news(&line, now) {
                log::warn!("watch: {line}");
            }
        }
        let dead = after.aside.iter().map(|way| &way.zone);
        let dead = dead.filter(|zone| before.aside(zone).is_none() && after.is_left(zone));
        let unused = before.in_use.iter();
        let unused = unused.filter(|_| before.in_use != after.in_use);
        let left: BTreeSet<&String> = dead.chain(unused).collect();
        self.left.extend(left.into_iter().cloned());
        Ok(())
    }

    fn look(&mut self, network: &Wanted, current: &Current) -> Result<Vec<WayAside>, NetlinkError> {
        let known = WaysFile::read();
        let troubles: Vec<_> = network
            .ways
            .iter()
            .map(|way| way.trouble(current))
            .collect();
        let routers = network.ways.iter().zip(&troubles);
        let routers = routers.filter_map(|(way, trouble)| {
            let router = way.router(current).filter(|_| trouble.is_none())?;
            Some((way.link.clone(), router))
        });
        let routers: Vec<_> = routers.collect();
        let answers = netlink::ask_routers(&routers)?;
        let now = clock::uptime();
        let mut states = Vec::new();
        for (way, trouble) in network.ways.iter().zip(troubles) {
            let mut asked = routers.iter().zip(&answers);
            let asked = asked.find(|((link, _), _)| *link == way.link);
            // Where there is no router to ask, there is nobody who could be silent.
            let (router, answer) = asked.map_or((None, RouterAnswer::Answers), |(to, answer)| {
                (Some(to.1), *answer)
            });
            let before = known.as_ref().and_then(|known| known.aside(&way.zone));
            let why = before.map(|before| before.why.as_str());
            let watch = &mut self.watch;
            states.push(watch.judge(&way.zone, router, why, trouble, answer, now));
        }
        WayState::take_first_holding(&mut states);
        let wall = clock::now();
        let aside = network.ways.iter().zip(&states).filter_map(|(way, state)| {
            let before = known.as_ref().and_then(|known| known.aside(&way.zone));
            Some(WayAside {
                zone: way.zone.clone(),
                why: state.why()?.to_owned(),
                since: before.map_or(wall, |before| before.since),
                holds_since: match state {
                    WayState::Holding(_) => before.and_then(|it| it.holds_since).or(Some(wall)),
                    WayState::Alive | WayState::Dead(_) => None,
                },
            })
        });
        let aside: Vec<WayAside> = aside.collect();
        if let Some(known) = known {
            known.keep_same(&aside);
        }
        Ok(aside)
    }

    /// Ends the connections whose source was translated to an address of a way that was left:
    /// by another they would have a source that is not that one's. A later packet of TCP is
    /// INVALID, and one of UDP begins a new connection by the way in use.
    pub(super) fn end_left(&mut self, plan: &Plan) -> Result<(), WaysError> {
        let left = std::mem::take(&mut self.left);
        if left.is_empty() {
            return Ok(());
        }
        let current = netlink::read_without_hooks()?;
        let links = plan.network.links.iter();
        let mut own: Vec<_> = links
            .filter(|link| left.contains(&link.zone))
            .flat_map(|link| link.addresses.iter().map(|own| own.addr()))
            .collect();
        let ways = plan.network.ways.iter();
        let ways = ways.filter(|way| left.contains(&way.zone));
        let held = ways.flat_map(|way| way.own_addresses(&current));
        own.extend(held.map(std::net::IpAddr::V4));
        let mut translated = Vec::new();
        conntrack::visit(&mut |entry| {
            if entry.flow.source != entry.answers_to && own.contains(&entry.answers_to) {
                translated.push(entry);
            }
        })?;
        match conntrack::delete(&translated)? {
            0 => {}
            ended => log::info!(
                "watch: connections ended by way out {}: {ended}",
                left.join(", ")
            ),
        }
        Ok(())
    }
}

fn zones(aside: &[WayAside]) -> BTreeSet<String> {
    aside.iter().map(|way| way.zone.clone()).collect()
}

/// The changes, a line each. There are so many ways.
fn told(before: &WaysFile, after: &WaysFile, ways: usize) -> Vec<String> {
    let why = |zone: &String| {
        let way = after.aside(zone);
        way.map(|way| format!("{zone} is not alive: {}", way.why))
    };
    if let Some(zone) = &after.in_use
        && before.in_use != after.in_use
    {
        let cause = before.in_use.as_ref().and_then(why);
        return vec![match cause {
            Some(cause) => format!("way out {zone} is in use, since {cause}"),
            None => format!("way out {zone} is in use again"),
        }];
    }
    if after.aside.len() == ways && before.aside.len() < ways {
        let cause = after.in_use.as_ref().and_then(why);
        let cause = cause.map(|cause| format!(": {cause}"));
        return vec![format!("no way out is alive{}", cause.unwrap_or_default())];
    }
    let died = after
        .aside
        .iter()
        .filter(|way| before.aside(&way.zone).is_none());
    let died = died.filter_map(|way| why(&way.zone));
    let back = before
        .aside
        .iter()
        .filter(|way| after.aside(&way.zone).is_none());
    let back = back.map(|way| format!("{} is alive again", way.zone));
    died.chain(back)
        .map(|line| format!("way out {line}"))
        .collect()
}

/// Which ways there are, and which is in use.
pub(super) fn report(plan: &Plan, presence: &Presence) -> Vec<WayReport> {
    let network = &plan.network;
    if network.ways.is_empty() {
        return Vec::new();
    }
    let known = WaysFile::read();
    let watched = Post::is_held("watch");
    // A way without carrier is not taken, whether that was seen by now or not.
    let has_carrier = |zone: &str| {
        let mut zones = presence.zones.iter();
        zones.any(|it| it.name == zone && it.interface.up && it.interface.link)
    };
    let mut ways = network.ways.iter();
    let aside = |zone: &str| known.as_ref().and_then(|known| known.aside(zone));
    let in_use = ways.find(|way| aside(&way.zone).is_none() && has_carrier(&way.zone));
    let ways = network.ways.iter().map(|way| {
        let aside = aside(&way.zone);
        // Without `watch` nobody sees whether it still is.
        let holds_since = aside.and_then(|way| way.holds_since).filter(|_| watched);
        let is_in_use = in_use.is_some_and(|it| it.zone == way.zone);
        let used = known
            .as_ref()
            .filter(|known| is_in_use && known.in_use.as_deref() == Some(way.zone.as_str()));
        WayReport {
            zone: way.zone.clone(),
            interface: way.link.clone(),
            metric: way.preference,
            in_use: is_in_use,
            alive: aside.is_none() && has_carrier(&way.zone),
            since: aside.map(|way| way.since).or(used.map(|known| known.since)),
            why: aside.map(|way| way.told(holds_since)),
            holds_since,
            watched,
        }
    });
    ways.collect()
}

/// Tells an error once, with its causes.
pub(super) fn failed(result: Result<(), WaysError>) -> Option<String> {
    result.err().map(|error| with_causes(&error))
}
