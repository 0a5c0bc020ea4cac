//! Rules of real zones, held against local time as the library tells it, and against what
//! is known of a zone.

use std::error::Error;

use tz::TimeZone;

use super::*;
use crate::field::TimeWindow;
use crate::netfilter::Match;
use crate::policy::Answers;
use crate::source::Source;

type Done = Result<(), Box<dyn Error>>;

/// 2026-11-26 22:00 UTC.
const NOW: u64 = 1_795_730_400;
const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
];

fn data(zone: &str) -> std::io::Result<Vec<u8>> {
    std::fs::read(format!(
        "{}/tests/zoneinfo/{zone}",
        env!("CARGO_MANIFEST_DIR")
    ))
}

fn local_time(zone: &str, now: u64) -> Result<LocalTime, Box<dyn Error>> {
    let built = 1_700_000_000;
    Ok(LocalTime::new(zone, &data(zone)?, now, built).ok_or("no local time")?)
}

/// The offsets in hours, and where each begins.
fn seasons(zone: &str) -> Result<Vec<(f64, String)>, Box<dyn Error>> {
    let seasons = local_time(zone, NOW)?.seasons.into_iter();
    Ok(seasons
        .map(|it| (f64::from(it.ahead) / 3600.0, utc(it.from)))
        .collect())
}

#[test]
fn seasons_are_those_of_the_zone() -> Done {
    let at = |list: &[(f64, &str)]| -> Vec<(f64, String)> {
        list.iter()
            .map(|(h, at)| (*h, format!("{at} UTC")))
            .collect()
    };
    assert_eq!(
        seasons("Europe/Berlin")?,
        at(&[
            (1.0, "2026-10-25 01:00"),
            (2.0, "2027-03-28 01:00"),
            (1.0, "2027-10-31 01:00"),
        ])
    );
    // Its winter is the daylight saving time of its data, which saves a negative hour.
    assert_eq!(
        seasons("Europe/Dublin")?,
        at(&[
            (0.0, "2026-10-25 01:00"),
            (1.0, "2027-03-28 01:00"),
            (0.0, "2027-10-31 01:00"),
        ])
    );
    assert_eq!(
        seasons("America/New_York")?,
        at(&[
            (-5.0, "2026-11-01 06:00"),
            (-4.0, "2027-03-14 07:00"),
            (-5.0, "2027-11-07 06:00"),
        ])
    );
    assert_eq!(
        seasons("Australia/Lord_Howe")?,
        at(&[
            (11.0, "2026-10-03 15:30"),
            (10.5, "2027-04-03 15:00"),
            (11.0, "2027-10-02 15:30"),
        ])
    );
    // Neither changes, so that one season lasts as long as rules can say.
    let built = "2023-11-14 22:13";
    assert_eq!(seasons("Asia/Kolkata")?, at(&[(5.5, built)]));
    assert_eq!(seasons("America/Sao_Paulo")?, at(&[(-3.0, built)]));
    assert_eq!(local_time("Asia/Kolkata", NOW)?.until(), END);
    Ok(())
}

/// The windows that the rules of a line with these hours have.
fn windows(zone: &str, now: u64, when: &str) -> Result<Vec<TimeWindow>, Box<dyn Error>> {
    let text = format!(
        "[router]\ntimezone = \"{zone}\"\n\
         [zones.home]\nrole = \"private\"\ninterface = \"eth1\"\naddress = \"192.168.5.1/24\"\n\
         [[allow]]\nfrom = \"home\"\nto = \"router\"\nservice = \"ssh\"\nwhen = {{ {when} }}\n"
    );
    let times = |name: &str| local_time(name, now).map_err(|error| error.to_string());
    let plan = crate::plan_at(&Source::new("c.toml", text), &Answers::new(), &times)?;
    let chains = plan.rules.v4.tables().flat_map(|(_, table)| &table.chains);
    let matches = chains
        .flat_map(|chain| &chain.rules)
        .flat_map(|it| &it.matches);
    let windows = matches.filter_map(|it| match it {
        Match::Time(window) => Some(*window),
        _ => None,
    });
    Ok(windows.collect())
}

#[test]
fn each_minute_of_two_years_is_as_local_time_says() -> Done {
    // The file's own words, and what they mean for a day of the week, Monday being 0, and a
    // minute of the day, both of local time.
    type Means = fn(i64, i64) -> bool;
    let hours: [(&str, Means); 5] = [
        (
            r#"from = "08:00", to = "18:00:59", days = "mon-fri""#,
            |day, minute| day < 5 && (480..=1080).contains(&minute),
        ),
        (
            r#"from = "22:30", to = "06:00:59", days = ["fri", "sun"]"#,
            |day, minute| {
                let yesterday = (day + 6) % 7;
                let starts = |day| day == 4 || day == 6;
                minute >= 1350 && starts(day) || minute <= 360 && starts(yesterday)
            },
        ),
        (r#"days = "sat,sun""#, |day, _| day >= 5),
        (r#"from = "02:00", to = "02:30:59""#, |_, minute| {
            (120..=150).contains(&minute)
        }),
        (
            r#"from = "00:00", to = "00:00:59", days = "mon""#,
            |day, minute| day == 0 && minute == 0,
        ),
    ];
    let year = 365 * DAY;
    for zone in ZONES {
        let library = TimeZone::from_tz_data(&data(zone)?)?;
        // Two computations, a year apart, each good for a year and more.
        for now in [NOW, NOW + year] {
            let windows = hours.map(|(when, means)| Ok((windows(zone, now, when)?, when, means)));
            let windows: Result<Vec<_>, Box<dyn Error>> = windows.into_iter().collect();
            let windows = windows?;
            for second in (now..now + year).step_by(60) {
                let second = i64::try_from(second)?;
                let ahead = library.find_local_time_type(second)?.ut_offset();
                let local = second + i64::from(ahead);
                let day = (local.div_euclid(86_400) + 3).rem_euclid(7);
                let minute = local.rem_euclid(86_400) / 60;
                for (windows, when, means) in &windows {
                    let open = windows.iter().filter(|it| it.holds(second)).count();
                    let wanted = usize::from(means(day, minute));
                    assert_eq!(
                        open,
                        wanted,
                        "{zone}: {when}: {}",
                        utc(second.unsigned_abs())
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn rules_are_one_for_each_season_and_the_days_are_moved() -> Done {
    let texts = |zone, when| -> Result<Vec<String>, Box<dyn Error>> {
        Ok(windows(zone, NOW, when)?
            .iter()
            .map(ToString::to_string)
            .collect())
    };
    assert_eq!(
        texts(
            "Europe/Berlin",
            r#"from = "00:30", to = "12:00", days = "mon""#
        )?,
        [
            "--timestart 23:30:00 --timestop 11:00:00 --weekdays Sun --datestart 2026-10-25T01:00:00 --datestop 2027-03-28T00:59:59 --contiguous",
            "--timestart 22:30:00 --timestop 10:00:00 --weekdays Sun --datestart 2027-03-28T01:00:00 --datestop 2027-10-31T00:59:59 --contiguous",
            "--timestart 23:30:00 --timestop 11:00:00 --weekdays Sun --datestart 2027-10-31T01:00:00 --datestop 2028-03-26T00:59:59 --contiguous",
        ]
    );
    // The last second that the kernel's match knows is no condition of its own.
    assert_eq!(
        texts(
            "Asia/Kolkata",
            r#"from = "22:00", to = "06:00", days = "sun""#
        )?,
        [
            "--timestart 16:30:00 --timestop 00:30:00 --weekdays Sun --datestart 2023-11-14T22:13:20 --contiguous"
        ]
    );
    Ok(())
}

#[test]
fn rules_end_with_the_kernels_match() -> Done {
    let when = r#"from = "08:00", to = "18:00""#;
    let last = |now| -> Result<Option<TimeWindow>, Box<dyn Error>> {
        Ok(windows("Europe/Berlin", now, when)?.pop())
    };
    let in_2037 = last(2_140_000_000)?.ok_or("no rules")?;
    assert_eq!(in_2037.dates().1, LAST_DATE);
    assert_eq!(last(END)?, None);
    let past = local_time("Europe/Berlin", END + DAY)?;
    assert!(past.seasons.is_empty());
    let trouble = local_time("Europe/Berlin", 2_140_000_000)?.trouble(END - DAY);
    assert!(trouble.is_some_and(|it| it.contains("ends at 2038-01-19 03:14 UTC")));
    Ok(())
}

#[test]
fn a_clock_that_nobody_set_is_before_all_seasons() -> Done {
    let built = NOW - 30 * DAY;
    let data = data("Europe/Berlin")?;
    let unset = LocalTime::new("Europe/Berlin", &data, 0, built).ok_or("no local time")?;
    assert_eq!(unset.seasons[0].from, built);
    assert_eq!(unset.season(0), None);
    assert!(unset.until() > built + AHEAD);
    let trouble = unset.trouble(0).unwrap_or_default();
    assert!(
        trouble.starts_with("the clock says 1970-01-01 00:00 UTC, before"),
        "{trouble}"
    );
    Ok(())
}

#[test]
fn local_time_is_computed_anew_long_before_it_ends_or_if_it_is_another() -> Done {
    let first = BUILT + 25 * DAY;
    let known = local_time("Europe/Berlin", first)?;
    let mut renewed = None;
    let mut now = first;
    while now < known.until() {
        if known.is_due(&local_time("Europe/Berlin", now)?, now) {
            renewed = Some(now);
            break;
        }
        now += DAY;
    }
    let renewed = renewed.ok_or("never")?;
    assert!(renewed + RENEWED > known.until() && renewed + TOLD < known.until());
    assert_eq!(known.trouble(renewed), None);
    assert!(known.trouble(known.until() - TOLD).is_some());
    // The zone got other rules, or the clock was wrong and goes back.
    assert!(known.is_due(&local_time("Europe/Dublin", first)?, first));
    let later = local_time("Europe/Berlin", first + 400 * DAY)?;
    assert!(later.is_due(&known, first));
    assert!(!known.is_due(&known, first));
    let endless = local_time("Asia/Kolkata", first)?;
    assert!(!endless.is_due(&local_time("Asia/Kolkata", END - 2 * DAY)?, END - 2 * DAY));
    Ok(())
}

#[test]
fn what_is_stored_comes_back() -> Done {
    for zone in ZONES {
        let known = local_time(zone, NOW)?;
        let text = known.to_text();
        assert_eq!(LocalTime::from_text(&text), Some(known));
        assert_eq!(LocalTime::from_text(&text.replace(' ', "  ")), None);
    }
    assert_eq!(LocalTime::from_text(""), None);
    Ok(())
}

#[test]
fn it_is_told_in_both_clocks() -> Done {
    assert_eq!(
        local_time("Australia/Lord_Howe", NOW)?.in_words(NOW),
        "local time of Australia/Lord_Howe: 2026-11-27 09:00 (UTC+11:00), 2026-11-26 22:00 UTC; UTC+10:30 from 2027-04-03 15:00 UTC"
    );
    Ok(())
}
