//! Refused packets by day, as bars.

use crate::markup::Markup;

use super::when::{date, grouped};

/// How many days are shown.
const DAYS: u64 = 14;
const WIDE: u64 = 46;
const HIGH: u64 = 110;

/// Draws the last days up to today; each day is a number of days since 1970 with its count.
pub(super) fn chart(page: &mut Markup, days: &[(u64, u64)], today: u64) {
    let count = |day: u64| {
        let found = days.iter().find(|(known, _)| *known == day);
        found.map_or(0, |(_, count)| *count)
    };
    let first = (today + 1).saturating_sub(DAYS);
    let most = (first..=today).map(count).max().unwrap_or_default().max(1);
    let (right, base) = (WIDE * DAYS, HIGH + 16);
    page.open(
        "svg",
        &[
            ("class", &"chart"),
            ("role", &"img"),
            ("aria-label", &"refused packets by day"),
            ("viewBox", &format_args!("0 0 {right} {}", base + 18)),
        ],
    );
    page.element(
        "line",
        &[("x1", &0), ("x2", &right), ("y1", &base), ("y2", &base)],
        "",
    );
    for (at, day) in (first..=today).enumerate() {
        let (x, number) = (at as u64 * WIDE, count(day));
        let share = (number as f64 / most as f64 * HIGH as f64).ceil() as u64;
        let middle = x + WIDE / 2;
        if number > 0 {
            page.element(
                "rect",
                &[
                    ("x", &(x + 6)),
                    ("y", &(base - share)),
                    ("width", &(WIDE - 12)),
                    ("height", &share),
                    ("rx", &2),
                ],
                "",
            );
            let says = short(number);
            let y = base - share - 4;
            let attributes: crate::markup::Attributes<'_> = &[
                ("class", &"v"),
                ("x", &middle),
                ("y", &y),
                ("text-anchor", &"middle"),
            ];
            page.element("text", attributes, &says);
        }
        let (_, month, number) = date(day);
        let says = format!("{month:02}-{number:02}");
        let y = base + 14;
        page.element(
            "text",
            &[("x", &middle), ("y", &y), ("text-anchor", &"middle")],
            &says,
        );
    }
    page.close("svg");
}

/// A number in at most six characters.
fn short(number: u64) -> String {
    match number {
        0..10_000 => grouped(number),
        10_000..1_000_000 => format!("{}k", number / 1000),
        1_000_000..1_000_000_000 => format!("{}M", number / 1_000_000),
        _ => format!("{}G", number / 1_000_000_000),
    }
}
