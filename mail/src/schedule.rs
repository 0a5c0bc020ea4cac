//! When a mail is sent, and what goes with it. Knows no clock: times are seconds that the
//! caller has.

/// The time in which the mails are counted.
const HOUR: f64 = 3600.0;

/// How long after the first failure it is tried again; then twice as long each time, up to
/// the longest.
const FIRST_AGAIN: f64 = 5.0;
const LONGEST_AGAIN: f64 = 900.0;

/// The most files in one mail, whatever their size, by how often they were refused: one
/// that the server never takes is soon among few, and then by itself.
const MOST_FILES: [usize; 5] = [100, 32, 10, 3, 1];

/// When one of two kinds of files may be tried: those that no server refused, and those
/// that one did.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Lane {
    /// How often in a row the server did not take a mail.
    failures: u32,
    /// When it may be tried again.
    not_before: f64,
}

impl Lane {
    fn failed(&mut self, now: f64) -> f64 {
        let longer = FIRST_AGAIN * f64::from(1 << self.failures.min(16));
        let wait = longer.min(LONGEST_AGAIN);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + wait;
        wait
    }
}

/// Which mails were sent lately, and how the server answers.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Schedule {
    /// When each mail of the last hour was sent.
    sent: Vec<f64>,
    fresh: Lane,
    refused: Lane,
    /// Whether the last mail had files that were refused before.
    was_refused: bool,
}

/// A file that waits, as far as the choice goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waiting {
    /// How many bytes it adds to a mail.
    pub bytes: u64,
    /// How often a mail with it was refused.
    pub failures: u32,
    /// When it was uploaded.
    pub since: i64,
    /// Whose it is.
    pub camera: usize,
}

impl Schedule {
    /// Begins with the mails that were sent before a restart.
    pub fn with_sent(sent: Vec<f64>) -> Schedule {
        Schedule {
            sent,
            ..Schedule::default()
        }
    }

    /// The mails of the last hour.
    pub fn sent_lately(&mut self, now: f64) -> &[f64] {
        // A time to come is another boot's.
        self.sent.retain(|at| *at <= now && now - *at < HOUR);
        &self.sent
    }

    /// Which files go into a mail now, as places in `waiting`; none if it is not the time.
    ///
    /// The first half of an hour's mails go at once, the others spread over the hour, so that
    /// a camera that uploads without end delays the others' by minutes and not by the hour.
    /// Where more wait than go at once, one mail has as many as fit: of each camera the oldest,
    /// then of each the next. A file that was refused is not with one that was not, and the
    /// two take turns, so that one that is never taken holds up no other.
    pub fn next(
        &mut self,
        waiting: &[Waiting],
        most_an_hour: usize,
        most_bytes: u64,
        now: f64,
    ) -> Vec<usize> {
        let sent = self.sent_lately(now);
        let at_once = (most_an_hour / 2).max(1);
        let apart = HOUR / (most_an_hour.saturating_sub(at_once) + 1) as f64;
        let last = sent.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let count = sent.len();
        if count >= most_an_hour || (count >= at_once && now - last < apart) {
            return Vec::new();
        }
        let is_ready = |lane: Lane, is_refused| {
            now >= lane.not_before && waiting.iter().any(|it| (it.failures > 0) == is_refused)
        };
        let turns = match (is_ready(self.fresh, false), is_ready(self.refused, true)) {
            (false, false) => return Vec::new(),
            (true, true) => !self.was_refused,
            (_, is_refused) => is_refused,
        };
        self.was_refused = turns;
        let lane = waiting.iter().filter(|it| (it.failures > 0) == turns);
        let failures = lane.map(|it| it.failures).min().unwrap_or(0);
        let mut places: Vec<usize> = (0..waiting.len()).collect();
        places.retain(|place| waiting[*place].failures == failures);
        places.sort_by_key(|place| (waiting[*place].camera, waiting[*place].since));
        let mut rank = (0, None);
        let mut ranked: Vec<(usize, i64, usize)> = Vec::with_capacity(places.len());
        for place in places {
            let it = waiting[place];
            rank = match rank {
                (before, Some(camera)) if camera == it.camera => (before + 1, Some(camera)),
                _ => (0, Some(it.camera)),
            };
            ranked.push((rank.0, it.since, place));
        }
        ranked.sort_unstable();
        let most_files = match waiting.len() <= at_once.saturating_sub(count) {
            true => 1,
            false => MOST_FILES[(failures as usize).min(MOST_FILES.len() - 1)],
        };
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        for (_, _, place) in ranked {
            if chosen.len() >= most_files {
                break;
            }
            if chosen.is_empty() || bytes + waiting[place].bytes <= most_bytes {
                bytes += waiting[place].bytes;
                chosen.push(place);
            }
        }
        chosen
    }

    /// A mail was taken.
    pub fn taken(&mut self, now: f64) {
        self.sent.push(now);
        self.fresh = Lane::default();
        if self.was_refused {
            self.refused = Lane::default();
        }
    }

    /// The mail of the last choice was not taken: for what is in it, or whatever it is. Returns
    /// how long it is until the next try.
    pub fn failed(&mut self, now: f64, is_of_the_message: bool) -> f64 {
        match (is_of_the_message, self.was_refused) {
            (true, true) => self.refused.failed(now),
            (true, false) => {
                let wait = self.fresh.failed(now);
                // What it had is among those now.
                self.refused.not_before = self.refused.not_before.min(now + wait);
                wait
            }
            (false, _) => {
                let wait = self.fresh.failed(now);
                self.refused.not_before = self.refused.not_before.max(now + wait);
                wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(bytes: u64, failures: u32, since: i64) -> Waiting {
        Waiting {
            bytes,
            failures,
            since,
            camera: 0,
        }
    }

    #[test]
    fn a_file_a_mail_while_mails_are_left() {
        let mut schedule = Schedule::default();
        let files = [waiting(1, 0, 5), waiting(1, 0, 3)];
        assert_eq!(schedule.next(&files, 4, 10, 0.0), [1]);
        schedule.taken(0.0);
        assert_eq!(schedule.next(&files, 4, 10, 1.0), [1, 0]);
        schedule.taken(1.0);
        // Of four two go at once, and the others 20 minutes after the one before.
        for (now, count) in [
            (1200.0, 0),
            (1201.0, 2),
            (1202.0, 0),
            (2401.0, 2),
            (3500.0, 0),
            (3601.5, 2),
        ] {
            assert_eq!(schedule.next(&files, 4, 10, now).len(), count, "{now}");
            if count > 0 {
                schedule.taken(now);
            }
        }
        assert_eq!(schedule.sent_lately(3601.5).len(), 3);
    }

    /// A camera that uploads a file a second without end: in the hour there are no more mails
    /// than there may be, and another camera's file goes with the next one, minutes later.
    #[test]
    fn a_camera_that_never_stops_delays_the_others_by_minutes() {
        for most in [2, 6, 20] {
            let mut schedule = Schedule::default();
            let (mut mails, mut longest) = (Vec::new(), 0.0);
            let mut files: Vec<Waiting> = Vec::new();
            for second in 0..20_000 {
                let now = f64::from(second);
                // What the hostile one uploads claims to be old.
                files.push(waiting(1, 0, i64::from(second) - 100_000));
                if second % 700 == 0 {
                    files.push(Waiting {
                        camera: 1,
                        since: second.into(),
                        ..files[0]
                    });
                }
                let chosen = schedule.next(&files, most, 1_000_000, now);
                if !chosen.is_empty() {
                    schedule.taken(now);
                    mails.push(now);
                    let theirs = chosen
                        .iter()
                        .map(|place| files[*place])
                        .filter(|it| it.camera == 1);
                    longest = theirs
                        .map(|it| now - it.since as f64)
                        .fold(longest, f64::max);
                    let mut place = 0;
                    files.retain(|_| (!chosen.contains(&place), place += 1).0);
                }
            }
            for at in &mails {
                let hour = mails
                    .iter()
                    .filter(|it| (0.0..3600.0).contains(&(at - **it)));
                assert!(hour.count() <= most, "{mails:?}");
            }
            assert!(
                longest <= 3600.0 / (most as f64 / 2.0) + 1.0,
                "{most}: {longest}"
            );
            assert!(!files.iter().any(|it| it.camera == 1 && it.since < 18_000));
        }
    }

    #[test]
    fn as_many_as_fit() {
        let mut schedule = Schedule::default();
        let files = [waiting(6, 0, 1), waiting(6, 0, 2), waiting(4, 0, 3)];
        assert_eq!(schedule.next(&files, 1, 10, 0.0), [0, 2]);
        // One that is larger than what fits goes nevertheless.
        assert_eq!(schedule.next(&[waiting(60, 0, 1)], 1, 10, 0.0), [0]);
        let many = vec![waiting(0, 0, 1); 1000];
        assert_eq!(schedule.next(&many, 20, 10, 0.0).len(), MOST_FILES[0]);
    }

    /// Six files, one of which the server never takes, in mails that have all of them: the
    /// others are soon taken, and whatever comes after them at once.
    #[test]
    fn a_file_that_is_never_taken_holds_up_no_other() {
        let mut schedule = Schedule::default();
        let mut files: Vec<Waiting> = (0..60).map(|since| waiting(1, 0, since)).collect();
        let is_poison = |it: &Waiting| it.since == 7;
        let (mut tries, mut since, mut latest) = (0, 60, 0.0);
        let mut waits: Vec<(i64, f64)> = Vec::new();
        for second in 0..20_000 {
            let now = f64::from(second);
            // After the first hours one comes from time to time.
            if second > 10_000 && second % 600 == 0 {
                files.push(waiting(1, 0, since));
                waits.push((since, now));
                since += 1;
            }
            let chosen = schedule.next(&files, 20, 10_000, now);
            if chosen.is_empty() {
                continue;
            }
            if chosen.iter().any(|place| is_poison(&files[*place])) {
                tries += 1;
                chosen.iter().for_each(|place| files[*place].failures += 1);
                assert!(schedule.failed(now, true) <= 900.0);
                continue;
            }
            schedule.taken(now);
            for place in &chosen {
                let it = files[*place];
                assert!(it.failures <= 4, "{it:?}");
                match waits.iter().find(|(since, _)| *since == it.since) {
                    Some((_, from)) => assert!(now - from <= 1.0, "{now} {from}"),
                    None => latest = now,
                }
            }
            let mut place = 0;
            files.retain(|_| (!chosen.contains(&place), place += 1).0);
        }
        assert_eq!(files.len(), 1);
        assert!(is_poison(&files[0]) && latest < 3600.0, "{latest}");
        assert!((20..60).contains(&tries), "{tries}");
    }

    #[test]
    fn a_server_that_is_down_is_tried_every_15_minutes_at_last() {
        let mut schedule = Schedule::default();
        let waits: Vec<f64> = (0..100).map(|_| schedule.failed(0.0, false)).collect();
        assert_eq!(waits[..4], [5.0, 10.0, 20.0, 40.0]);
        assert_eq!(waits[99], 900.0);
    }

    /// A server that refuses whatever it is given, as for a full mailbox, while files come.
    #[test]
    fn a_server_that_refuses_all_is_not_asked_without_end() {
        let mut schedule = Schedule::default();
        let (mut files, mut tries) = (Vec::new(), 0);
        for second in 0..86_400 {
            if second % 60 == 0 {
                files.push(waiting(1, 0, second));
            }
            let now = second as f64;
            let chosen = schedule.next(&files, 20, 10_000, now);
            if !chosen.is_empty() {
                tries += 1;
                chosen.iter().for_each(|place| files[*place].failures += 1);
                schedule.failed(now, true);
            }
        }
        assert!((90..220).contains(&tries), "{tries}");
    }

    #[test]
    fn times_of_another_boot_do_not_count() {
        let mut schedule = Schedule::with_sent(vec![100.0, 50_000.0]);
        assert_eq!(schedule.sent_lately(200.0), [100.0]);
    }

    /// A day without a server, one new file every five minutes: it is tried at least every 15
    /// minutes, and at most a hundred times; once it is back all are sent, each once, in no
    /// more mails an hour than there may be.
    #[test]
    fn after_a_day_without_a_server_all_are_sent_within_the_hours_limit() {
        const DAY: f64 = 86_400.0;
        const MOST_MAILS: usize = 6;
        let mut schedule = Schedule::default();
        let (mut files, mut sent, mut mails): (Vec<Waiting>, usize, Vec<f64>) = Default::default();
        let (mut tries, mut last_try, mut now) = (0, 0.0, 0.0);
        while now < DAY + 4.0 * 3600.0 {
            if now < DAY && now % 300.0 == 0.0 {
                files.push(waiting(1000, 0, now as i64));
            }
            let chosen = schedule.next(&files, MOST_MAILS, 10_000_000, now);
            if chosen.is_empty() {
                assert!(
                    files.is_empty() || now >= DAY || now - last_try <= 901.0,
                    "{now}"
                );
            } else if now < DAY {
                (tries, last_try) = (tries + 1, now);
                schedule.failed(now, false);
            } else {
                schedule.taken(now);
                mails.push(now);
                sent += chosen.len();
                let mut place = 0;
                files.retain(|_| (!chosen.contains(&place), place += 1).0);
            }
            now += 1.0;
        }
        assert!((96..=104).contains(&tries), "{tries}");
        assert_eq!((sent, files.len()), (288, 0));
        assert!(mails[0] - DAY <= 900.0, "{mails:?}");
        for at in &mails {
            let hour = mails
                .iter()
                .filter(|it| (0.0..3600.0).contains(&(*at - **it)));
            assert!(hour.count() <= MOST_MAILS, "{mails:?}");
        }
    }

    #[test]
    fn the_highest_limit_holds_too() {
        let mut schedule = Schedule::default();
        let (files, mut sent) = ([waiting(1, 0, 0)], 0);
        for second in 0..3600 {
            if !schedule.next(&files, 3600, 10, second.into()).is_empty() {
                schedule.taken(second.into());
                sent += 1;
            }
        }
        // 1,800 at once, each second one; then one each two.
        assert_eq!(sent, 1800 + 900);
    }
}
