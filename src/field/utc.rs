//! Dates and times in UTC, as the time extension and people write them.

/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// Year, month and day of a number of days since 1970 (Howard Hinnant's civil_from_days,
/// without what comes before 1970).
pub(crate) fn date(days: u64) -> (u64, u64, u64) {
    let days = days.min(u64::from(u32::MAX)) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// A time in UTC, such as `2026-11-26 07:05 UTC`.
pub(crate) fn utc(seconds: u64) -> String {
    format!("{} UTC", minute(seconds))
}

/// The same of whatever clock, such as `2026-11-26 07:05`.
pub(crate) fn minute(seconds: u64) -> String {
    let mut text = stamp(seconds).replace('T', " ");
    text.truncate(text.len() - 3);
    text
}

/// A time as the time extension prints it: `2026-11-26T07:05:31`.
pub(crate) fn stamp(seconds: u64) -> String {
    let (year, month, day) = date(seconds / DAY);
    let second = seconds % DAY;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The seconds since 1970 of a time as [`stamp`] writes it, up to 2106.
pub(crate) fn from_stamp(text: &str) -> Option<u32> {
    // Text of equal length and form is in the order of the times.
    let (mut low, mut high) = (0, u32::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        match stamp(middle.into()).as_str() < text {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    (stamp(low.into()) == text).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_people_and_the_time_extension_write_them() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc(1_795_676_731), "2026-11-26 07:05 UTC");
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (1_795_676_731, "2026-11-26T07:05:31"),
            (0x7fff_ffff, "2038-01-19T03:14:07"),
            (u32::MAX, "2106-02-07T06:28:15"),
        ] {
            assert_eq!(stamp(seconds.into()), text);
            assert_eq!(from_stamp(text), Some(seconds));
        }
        for bad in [
            "",
            "2026",
            "2026-02-29T00:00:00",
            "2026-11-26 07:05:31",
            "z",
        ] {
            assert_eq!(from_stamp(bad), None, "{bad}");
        }
    }
}
