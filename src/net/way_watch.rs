//! When a way out is set aside, and when it is used again. Pure: the time is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{RouterAnswer, WayTrouble};

/// How many seconds a way is alive again before it is used: a line that flaps changes the way
/// at most twice in this time.
const HOLD: f64 = 30.0;

/// The kernel asks three times, a second apart (mcast_solicit and retrans_time_ms of
/// net.ipv4.neigh): a router that has not answered by then did not.
const ASKED_FOR: f64 = 3.5;

/// What is remembered of ways from one look to the next.
#[derive(Debug, Default)]
pub struct WayWatch {
    alive_since: BTreeMap<String, f64>,
    asked_since: BTreeMap<String, f64>,
    /// The zones whose routers did not answer, and have not since.
    silent: BTreeSet<String>,
}

impl WayWatch {
    /// Why the way is aside from now on; None if it may be used. `before` is why it was.
    pub fn judge(
        &mut self,
        zone: &str,
        router: Option<IpAddr>,
        before: Option<&str>,
        trouble: Option<WayTrouble>,
        answer: RouterAnswer,
        now: f64,
    ) -> Option<String> {
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
            return Some(trouble.to_string());
        }
        let Some(before) = before else {
            self.alive_since.remove(zone);
            return None;
        };
        if answer == RouterAnswer::Answers {
            self.alive_since.entry(zone.to_owned()).or_insert(now);
        }
        let since = self.alive_since.get(zone);
        let has_held = since.is_some_and(|since| now - since >= HOLD);
        (!has_held).then(|| before.to_owned())
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
        let mut judge = |answer, now| watch.judge("wan", ROUTER, None, None, answer, now);
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
            let why = watch.judge("wan", ROUTER, Some(dead), trouble, answer, now);
            why.is_some()
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
}
