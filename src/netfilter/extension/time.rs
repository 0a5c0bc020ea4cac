//! `-m time`: a time of day and days of the week between two dates, in UTC.

use super::{Extension, Match, Words};
use crate::field::TimeWindow;

pub(super) const TIME: Extension<Match> = Extension {
    name: "time",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_TIME"),
    read,
};

fn read(words: &mut Words<'_>) -> Option<Match> {
    let start = words.option("--timestart");
    let stop = words.option("--timestop");
    let days = words.option("--weekdays");
    let dates = ["--datestart", "--datestop"].map(|date| words.option(date));
    let window = TimeWindow::as_printed(start, stop, days, dates)?;
    words.next_if_eq("--contiguous");
    Some(Match::Time(window))
}
