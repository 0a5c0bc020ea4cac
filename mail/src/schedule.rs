//! When a mail is sent, and what goes with it. Knows no clock: times are seconds that the
//! caller has.

/// The time in which the mails are counted.
const HOUR: f64 = 3600.0;

/// How long after the first failure it is tried again; then twice as long each time, up to
/// the longest.
const FIRST_AGAIN: f64 = 5.0;
const LONGEST_AGAIN: f64 = 900.0;

/// The most files in one mail, whatever their size.
const MOST_FILES: usize = 100;

/// Which mails were sent lately, and how the server answers.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Schedule {
    /// When each mail of the last hour was sent.
    sent: Vec<f64>,
    /// How often in a row the server did not take a mail.
    failures: u32,
    /// When it may be tried again.
    not_before: f64,
}

/// A file that waits, as far as the choice goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waiting {
    /// How many bytes it adds to a mail.
    pub bytes: u64,
    /// How often a mail with it was not taken.
    pub failures: u32,
    /// When it was uploaded.
    pub since: i64,
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
    /// Where more wait than mails are left in the hour, one mail has as many as fit. While
    /// the server does not take what it is given, one file is tried at a time, that which
    /// failed least, so that one that it never takes holds up no other.
    pub fn next(
        &mut self,
        waiting: &[Waiting],
        most_an_hour: usize,
        most_bytes: u64,
        now: f64,
    ) -> Vec<usize> {
        let left = most_an_hour.saturating_sub(self.sent_lately(now).len());
        if left == 0 || now < self.not_before {
            return Vec::new();
        }
        let mut places: Vec<usize> = (0..waiting.len()).collect();
        places.sort_by_key(|place| (waiting[*place].failures, waiting[*place].since));
        let most_files = match waiting.len() <= left || self.failures > 0 {
            true => 1,
            false => MOST_FILES,
        };
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        for place in places {
            let is_alone = chosen.is_empty();
            // What was refused once goes by itself.
            if chosen.len() >= most_files || (!is_alone && waiting[place].failures > 0) {
                break;
            }
            if is_alone || bytes + waiting[place].bytes <= most_bytes {
                bytes += waiting[place].bytes;
                chosen.push(place);
                if waiting[place].failures > 0 {
                    break;
                }
            }
        }
        chosen
    }

    /// A mail was taken.
    pub fn taken(&mut self, now: f64) {
        self.sent.push(now);
        self.failures = 0;
        self.not_before = 0.0;
    }

    /// A mail was not taken. Returns how long it is until the next try.
    pub fn failed(&mut self, now: f64) -> f64 {
        let longer = FIRST_AGAIN * f64::from(1 << self.failures.min(16));
        let wait = longer.min(LONGEST_AGAIN);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + wait;
        wait
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
        }
    }

    #[test]
    fn a_file_a_mail_while_mails_are_left() {
        let mut schedule = Schedule::default();
        let files = [waiting(1, 0, 5), waiting(1, 0, 3)];
        assert_eq!(schedule.next(&files, 2, 10, 0.0), [1]);
        schedule.taken(0.0);
        assert_eq!(schedule.next(&files, 2, 10, 1.0), [1, 0]);
        schedule.taken(1.0);
        assert!(schedule.next(&files, 2, 10, 3599.0).is_empty());
        assert_eq!(schedule.next(&files, 2, 10, 3600.5), [1, 0]);
        assert_eq!(schedule.sent_lately(3600.5).len(), 1);
    }

    #[test]
    fn as_many_as_fit() {
        let mut schedule = Schedule::default();
        let files = [waiting(6, 0, 1), waiting(6, 0, 2), waiting(4, 0, 3)];
        assert_eq!(schedule.next(&files, 1, 10, 0.0), [0, 2]);
        // One that is larger than what fits goes nevertheless.
        assert_eq!(schedule.next(&[waiting(60, 0, 1)], 1, 10, 0.0), [0]);
        let many = vec![waiting(0, 0, 1); 1000];
        assert_eq!(schedule.next(&many, 20, 10, 0.0).len(), MOST_FILES);
    }

    #[test]
    fn a_file_that_is_never_taken_holds_up_no_other() {
        let mut schedule = Schedule::default();
        let files = [
            waiting(1, 1, 1),
            waiting(1, 0, 2),
            waiting(1, 0, 3),
            waiting(1, 2, 0),
        ];
        assert_eq!(schedule.failed(0.0), 5.0);
        assert!(schedule.next(&files, 3, 10, 4.0).is_empty());
        assert_eq!(schedule.next(&files, 3, 10, 5.0), [1]);
        schedule.taken(5.0);
        assert_eq!(schedule.next(&files, 3, 10, 5.0), [1, 2]);
        assert_eq!(schedule.next(&[files[0], files[3]], 2, 10, 5.0), [0]);
    }

    #[test]
    fn a_server_that_is_down_is_tried_every_15_minutes_at_last() {
        let mut schedule = Schedule::default();
        let waits: Vec<f64> = (0..100).map(|_| schedule.failed(0.0)).collect();
        assert_eq!(waits[..4], [5.0, 10.0, 20.0, 40.0]);
        assert_eq!(waits[99], 900.0);
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
                schedule.failed(now);
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
        let files = [waiting(1, 0, 0)];
        for second in 0..3600 {
            assert_eq!(schedule.next(&files, 3600, 10, second.into()), [0]);
            schedule.taken(second.into());
        }
        assert!(schedule.next(&files, 3600, 10, 3599.5).is_empty());
        assert_eq!(schedule.next(&files, 3600, 10, 3600.0), [0]);
    }
}
