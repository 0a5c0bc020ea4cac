//! When a way out is set aside, and when it is used again. Pure: the time is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{RouterAnswer, WayTrouble};

/// How many seconds a way is alive again before another that is alive is left for it: a line
/// that flaps changes the way at most twice in this time.
pub const HOLD: f64 = 30.0;

/// The kernel asks three times, a second apart (mcast_solicit and retrans_time_ms of
/// net.ipv4.neigh): a router that has not answered by then did not.
const ASKED_FOR: f64 = 3.5;

/// What a look found of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayState {
    Alive,
    /// Alive again, and not yet for as long as it must hold; with why it was set aside.
    Holding(String),
    /// With why.
    Dead(String),
}

impl WayState {
    /// Why the way is set aside; None if it may be used.
    pub fn why(&self) -> Option<&str> {
        match self {
            WayState::Alive => None,
            WayState::Holding(why) | WayState::Dead(why) => Some(why),
        }
    }

    /// Where no way is alive, there is none to be left: the first of those that are holding is
    /// used at once. `states` are in the order of preference.
    pub fn take_first_holding(states: &mut [WayState]) {
        if states.contains(&WayState::Alive) {
            return;
        }
        let mut states = states.iter_mut();
        if let Some(first) = states.find(|state| matches!(state, WayState::Holding(_))) {
            *first = WayState::Alive;
        }
    }
}

/// What is remembered of ways from one look to the next.
#[derive(Debug, Default)]
pub struct WayWatch {
    alive_since: BTreeMap<String, f64>,
    asked_since: BTreeMap<String, f64>,
    /// The zones whose routers did not answer, and have not since.
    silent: BTreeSet<String>,
    /// When each line was told.
    told: BTreeMap<String, f64>,
}

impl WayWatch {
    /// What becomes of a way. `before` is why it was set aside until now, if it was.
    pub fn judge(
        &mut self,
        zone: &str,
        router: Option<IpAddr>,
        before: Option<&str>,
        trouble: Option<WayTrouble>,
        answer: RouterAnswer,
        now: f64,
    ) -> WayState {
        let asked = match answer {
            RouterAnswer::Asked => *self.asked_since.entry(zone.to_owned()).or_insert(now),
            _ => {
                self.asked_since.remove(zone);
                now
            }
        };
        if answer == RouterAnswer::Silent || now - asked > ASKED_FOR {
            self.silent.insert(zone.to_owned());
        } else if answer == RouterAnswer::Answers {
            self.silent.remove(zone);
        }
        let silent = router.filter(|_| self.silent.contains(zone));
        if let Some(trouble) = trouble.or(silent.map(WayTrouble::NoAnswer)) {
            self.alive_since.remove(zone);
            return WayState::Dead(trouble.to_string());
        }
        let Some(before) = before else {
            self.alive_since.remove(zone);
            return WayState::Alive;
        };
        if answer == RouterAnswer::Answers {
            self.alive_since.entry(zone.to_owned()).or_insert(now);
        }
        match self.alive_since.get(zone) {
            None => WayState::Dead(before.to_owned()),
            Some(since) if now - since >= HOLD => WayState::Alive,
            Some(_) => WayState::Holding(before.to_owned()),
        }
    }

    /// Whether a line is to be told: of lines that flap, each at most once in the time that a
    /// way must hold.
    pub fn is_news(&mut self, line: &str, now: f64) -> bool {
        self.told.retain(|_, at| now - *at < HOLD);
        let is_news = !self.told.contains_key(line);
        if is_news {
            self.told.insert(line.to_owned(), now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RouterAnswer::{Answers, Asked, Silent, Unknown};

    const ROUTER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)));
    const SILENT: &str = "its router 198.51.100.1 does not answer";

    #[test]
    fn a_router_is_dead_once_the_kernel_has_asked_in_vain() {
        let mut watch = WayWatch::default();
        let mut judge = |answer, now| {
            let state = watch.judge("wan", ROUTER, None, None, answer, now);
            state.why().map(str::to_owned)
        };
        assert_eq!(judge(Unknown, 0.0), None);
        assert_eq!(judge(Asked, 1.0), None);
        assert_eq!(judge(Asked, 2.0), None);
        assert_eq!(judge(Asked, 5.0).as_deref(), Some(SILENT));
        assert_eq!(judge(Answers, 6.0), None);
        assert_eq!(judge(Asked, 7.0), None);
        assert_eq!(judge(Silent, 8.0).as_deref(), Some(SILENT));
        // It is asked again, and that is no answer.
        assert_eq!(judge(Asked, 8.1).as_deref(), Some(SILENT));
        assert_eq!(judge(Unknown, 8.2).as_deref(), Some(SILENT));
        assert_eq!(judge(Answers, 9.0), None);
    }

    #[test]
    fn it_is_used_again_once_it_held() {
        let mut watch = WayWatch::default();
        let dead = "its interface has no carrier";
        let mut judge = |trouble, answer, now| {
            let state = watch.judge("wan", ROUTER, Some(dead), trouble, answer, now);
            state != WayState::Alive
        };
        assert!(judge(Some(WayTrouble::NoCarrier), Answers, 0.0));
        // The carrier is back, and it is not known who is there.
        assert!(judge(None, Unknown, 100.0));
        assert!(judge(None, Answers, 101.0));
        // It flaps: the time begins anew.
        assert!(judge(Some(WayTrouble::NoCarrier), Answers, 130.0));
        assert!(judge(None, Answers, 131.5));
        assert!(judge(None, Unknown, 160.0));
        assert!(judge(None, Answers, 161.0));
        assert!(!judge(None, Answers, 161.5));
        // Whoever asks again gets the same.
        assert!(!judge(None, Answers, 161.6));
    }

    #[test]
    fn what_is_holding_is_used_at_once_where_nothing_is_alive() {
        use WayState::{Alive, Dead, Holding};
        let dead = || Dead(SILENT.to_owned());
        let holding = || Holding(SILENT.to_owned());
        let taken = |mut states: Vec<WayState>| {
            WayState::take_first_holding(&mut states);
            states
        };
        let first = taken(vec![dead(), holding(), holding()]);
        assert_eq!(first, [dead(), Alive, holding()]);
        // The way in use is alive, however little it is preferred: nothing flaps.
        let kept = taken(vec![holding(), Alive]);
        assert_eq!(kept, [holding(), Alive]);
        assert_eq!(taken(vec![dead(), dead()]), [dead(), dead()]);
    }

    #[test]
    fn of_a_line_that_flaps_the_same_is_told_at_intervals() {
        let mut watch = WayWatch::default();
        let mut is_news = |line, now| watch.is_news(line, now);
        assert!(is_news("dead", 0.0) && is_news("alive", 1.0));
        assert!(!is_news("dead", 2.0) && !is_news("alive", 3.0));
        assert!(!is_news("dead", 29.9) && is_news("dead", 30.0));
        assert!(!is_news("alive", 30.9) && is_news("alive", 31.0));
    }

    #[test]
    fn a_way_whose_router_was_not_heard_is_not_holding() {
        let mut watch = WayWatch::default();
        let mut judge = |answer| watch.judge("wan", ROUTER, Some(SILENT), None, answer, 0.0);
        assert_eq!(judge(Unknown), WayState::Dead(SILENT.to_owned()));
        assert_eq!(judge(Answers), WayState::Holding(SILENT.to_owned()));
        assert_eq!(judge(Unknown), WayState::Holding(SILENT.to_owned()));
    }
}
