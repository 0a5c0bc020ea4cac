//! The page: what an owner looks at once a day, from its state down to the file's lines.
//!
//! Owns what is on it, in which order, and that it stays small: each list is bounded, and
//! nothing is begun that has no room.

use super::chart::chart;
use super::matrix_svg::{KINDS, kind};
use super::style::STYLE;
use super::when::{ago, counted, grouped, utc};
use crate::markup::Markup;
use crate::observe::accounting::Accounting;
use crate::observe::mail_queue::MailQueue;
use crate::observe::presence::{CameraPresence, CameraState, Presence, ZonePresence};
use crate::observe::wanted::BlockedHost;
use crate::observe::ways::WayReport;
use crate::prove::NamedMatrix;

/// What the page says.
pub(crate) struct PageFacts<'a> {
    /// When it is written, in seconds since 1970.
    pub(crate) now: u64,
    /// The state's name, and why it is so.
    pub(crate) state: &'a str,
    pub(crate) why: Option<&'a str>,
    pub(crate) since: Option<u64>,
    /// Whether the kernel is as the file says.
    pub(crate) holds: bool,
    /// Whether packets pass by the policy at all.
    pub(crate) in_force: bool,
    pub(crate) policy: Option<&'a str>,
    /// What needs attention: differences first.
    pub(crate) drift: &'a [String],
    pub(crate) needs: &'a [String],
    pub(crate) notes: &'a [String],
    pub(crate) presence: &'a Presence,
    pub(crate) ways: &'a [WayReport],
    pub(crate) blocked: &'a [BlockedHost],
    /// Refused packets of each day since 1970 that has some.
    pub(crate) days: &'a [(u64, u64)],
    pub(crate) accounting: &'a Accounting,
    /// Who reaches whom, by each family; None where that takes too much memory.
    pub(crate) matrices: &'a [Option<NamedMatrix>],
    /// Whether each claim holds, and what it says.
    pub(crate) claims: &'a [(bool, String)],
    /// How the mail of uploads does, if `camfw-mail` runs.
    pub(crate) mail: Option<&'a MailQueue>,
    /// The files of the policy: names and texts.
    pub(crate) files: &'a [(String, String)],
}

/// A page is never larger than 1 MB. Nothing is begun beyond this, and no item takes what is
/// left.
const ROOM: usize = 900_000;

/// The most items of a list, and lines of a file.
pub(super) const ITEMS: usize = 200;
pub(super) const TRIED: usize = 6;
const LINES: usize = 2_000;
/// The most columns of a table on paper.
const COLUMNS: usize = 8;
/// The most services of a cell.
const WORDS: usize = 24;
/// The most characters of one text.
const LONG: usize = 400;

/// The page.
pub(crate) fn report(facts: &PageFacts<'_>) -> String {
    let mut page = Markup::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\"/>");
    page.element("title", &[], &format!("camfw: {}", facts.state));
    page.raw("<style>");
    page.raw(STYLE);
    page.raw("</style></head><body><main>");
    let mut report = ReportPage { page, facts };
    report.state();
    report.hand();
    report.network();
    report.refused();
    report.cameras();
    report.others();
    report.matrices();
    report.allowed();
    report.proven();
    report.files();
    report.page.raw("<footer><p class=\"m\">camfw, ");
    report.page.text(&utc(facts.now));
    report.page.raw("</p></footer></main></body></html>\n");
    report.page.finish()
}

pub(super) struct ReportPage<'a> {
    pub(super) page: Markup,
    pub(super) facts: &'a PageFacts<'a>,
}

impl ReportPage<'_> {
    pub(super) fn has_room(&self) -> bool {
        self.page.len() < ROOM
    }

    /// The items of a list that have room, and how many do not.
    pub(super) fn list<T>(
        &mut self,
        items: &[T],
        most: usize,
        mut each: impl FnMut(&mut Self, &T),
    ) {
        let mut shown = 0;
        for item in items.iter().take(most) {
            if !self.has_room() {
                break;
            }
            each(self, item);
            shown += 1;
        }
        if shown < items.len() {
            let more = format!("and {} more", grouped((items.len() - shown) as u64));
            self.page.element("li", &[("class", &"m")], &more);
        }
    }

    pub(super) fn dim(&mut self, text: &str) {
        self.page.element("p", &[("class", &"m")], &cut(text));
    }

    /// What is said with the state: why it is so, in the words of a difference where one says
    /// it, or else the first difference.
    fn on_top(&self) -> Option<&str> {
        let facts = self.facts;
        let mut drift = facts.drift.iter().map(String::as_str);
        let says_why = |line: &&str| facts.why.is_none_or(|why| line.ends_with(why));
        drift.find(says_why).or(facts.why)
    }

    fn problems(&self) -> usize {
        self.facts.drift.len() + self.facts.needs.len()
    }

    fn state(&mut self) {
        let facts = self.facts;
        let class = match (facts.in_force, self.problems()) {
            (false, _) => "top bad",
            (true, 0) if facts.holds => "top",
            (true, _) => "top warn",
        };
        self.page.open("header", &[("class", &class)]);
        self.page.element("h1", &[], facts.state);
        let says = match (facts.in_force, facts.holds, facts.drift.len()) {
            (false, ..) => "The policy of the file is not in force.".to_owned(),
            (true, true, _) => "The kernel holds exactly what the file says.".to_owned(),
            (true, false, 1) => "One thing is not as the file says.".to_owned(),
            (true, false, count) => format!("{count} things are not as the file says."),
        };
        self.page.element("p", &[], &says);
        if let Some(why) = self.on_top() {
            self.page.element("p", &[], &cut(why));
        }
        if !facts.needs.is_empty() {
            let says = match facts.needs.len() {
                1 => "One thing needs attention.".to_owned(),
                count => format!("{count} things need attention."),
            };
            self.page.element("p", &[], &says);
        }
        let mut known = Vec::new();
        if let Some(since) = facts.since {
            known.push(format!("since {}", utc(since)));
        }
        if let Some(policy) = facts.policy {
            known.push(format!("policy {}", policy.get(..12).unwrap_or(policy)));
        }
        known.push(format!("seen {}", utc(facts.now)));
        self.dim(&known.join(" \u{b7} "));
        self.page.close("header");
        self.tiles();
    }

    fn tiles(&mut self) {
        let facts = self.facts;
        let presence = facts.presence;
        let cameras = || presence.zones.iter().flat_map(|zone| &zone.cameras);
        let of = |state| cameras().filter(|it| it.state == state).count();
        let all = cameras().count();
        let seen = of(CameraState::Seen);
        let away = of(CameraState::Silent) + of(CameraState::NeverSeen);
        let today = facts.now / 86_400;
        let today = facts.days.iter().find(|(day, _)| *day == today);
        let today = today.map_or(0, |(_, count)| *count);
        let zones = presence.zones.iter().filter(|it| it.is_for_cameras());
        let strangers: usize = zones.map(|it| it.others.len() + it.others_left_out).sum();
        self.page.raw("<div class=\"tiles\">");
        let cameras = match away {
            0 => "cameras seen".to_owned(),
            _ => format!("cameras seen, {away} silent"),
        };
        self.tile(&format!("{seen}/{all}"), &cameras);
        self.tile(&grouped(today), "packets refused today");
        self.tile(
            &strangers.to_string(),
            "hosts among cameras that nobody listed",
        );
        let broken = facts.claims.iter().filter(|(holds, _)| !holds).count();
        let claims = facts.claims.len();
        self.tile(&format!("{}/{claims}", claims - broken), "claims proven");
        if let Some(mail) = facts.mail {
            let last = mail.last_sent.map_or_else(
                || "none sent since the boot".to_owned(),
                |then| format!("the last mail {}", ago(then, facts.now)),
            );
            let says = format!("uploads wait to be mailed, {last}");
            self.tile(&grouped(mail.files), &says);
        }
        self.page.raw("</div>");
    }

    fn tile(&mut self, number: &str, says: &str) {
        self.page.raw("<div class=\"c\">");
        self.page.element("b", &[], number);
        self.page.element("span", &[("class", &"m")], says);
        self.page.raw("</div>");
    }

    fn hand(&mut self) {
        let facts = self.facts;
        let on_top = self.on_top();
        let drift = facts.drift.iter().map(String::as_str);
        let drift = drift.filter(|line| Some(*line) != on_top);
        let drift = drift.map(|line| ("bad", line));
        let others = facts.needs.iter().chain(facts.notes);
        let others = others.map(|line| ("", line.as_str()));
        let all: Vec<_> = drift.chain(others).collect();
        if all.is_empty() {
            return;
        }
        let heading = match on_top {
            Some(_) => "What else needs attention",
            None => "What needs attention",
        };
        self.page.element("h2", &[], heading);
        self.page.raw("<ul class=\"hand\">");
        self.list(&all, ITEMS, |report, (class, line)| {
            report.page.element("li", &[("class", class)], &cut(line));
        });
        self.page.raw("</ul>");
    }

    fn network(&mut self) {
        let presence = self.facts.presence;
        if presence.zones.is_empty() {
            return;
        }
        self.page.raw("<h2>The network</h2><div class=\"net\"><div class=\"rt\">router</div><ul class=\"zs\">");
        self.list(&presence.zones, ITEMS, Self::zone);
        self.page.raw("</ul></div>");
    }

    fn zone(&mut self, zone: &ZonePresence) {
        let link = &zone.interface;
        let works = link.exists && link.up && link.link;
        let says = match (link.exists, link.up, link.link, link.speed) {
            (false, ..) => "not there".to_owned(),
            (_, false, ..) => "down".to_owned(),
            (_, _, false, _) => "no link".to_owned(),
            (.., Some(speed)) => format!("{} Mbit/s", grouped(speed.into())),
            _ => "link".to_owned(),
        };
        let class = if works { "on" } else { "off" };
        self.page.open("li", &[("class", &class)]);
        let mark = if works { "" } else { " \u{2717}" };
        let wire = format!("{}{mark} \u{b7} {says}", link.name);
        self.page.element("div", &[("class", &"wire")], &wire);
        self.page.raw("<div class=\"c\">");
        self.page.element("h3", &[], &zone.name);
        let mut more = vec![format!("role {}", zone.role)];
        let mut ways = self.facts.ways.iter();
        if let Some(way) = ways.find(|way| way.zone == zone.name) {
            more.push(format!("way out: {}", way.state()));
        }
        let errors = link.receive_errors.saturating_add(link.transmit_errors);
        if errors > 0 {
            more.push(format!("{} damaged frames", grouped(errors)));
        }
        if link.lease == Some(false) {
            more.push("no address".to_owned());
        }
        if link.lease6 == Some(false) {
            more.push("no IPv6 address".to_owned());
        }
        self.dim(&more.join(" \u{b7} "));
        let others = zone.others.len() + zone.others_left_out;
        if !zone.cameras.is_empty() || others > 0 {
            self.page.raw("<ul class=\"chips\">");
            self.list(&zone.cameras, ITEMS, |report, camera| {
                let class = report.class(camera);
                let attributes: &[(&'static str, &dyn std::fmt::Display)] = &[("class", &class)];
                report.page.element("li", attributes, &camera.name);
            });
            if others > 0 {
                let says = format!("{others} not listed");
                self.page.element("li", &[("class", &"other")], &says);
            }
            self.page.raw("</ul>");
        }
        self.page.raw("</div></li>");
    }

    pub(super) fn class(&self, camera: &CameraPresence) -> &'static str {
        let mut problems = self.facts.presence.problems_of(&camera.name);
        match (problems.next(), camera.state) {
            (Some(_), _) => "bad",
            (None, CameraState::Silent) => "silent",
            (None, CameraState::NeverSeen) => "never",
            (None, CameraState::Seen | CameraState::Unknown) => "seen",
        }
    }

    fn refused(&mut self) {
        self.page
            .raw("<h2>Refused, by day</h2><div class=\"c wide\">");
        chart(&mut self.page, self.facts.days, self.facts.now / 86_400);
        self.page.raw("</div>");
    }

    fn matrices(&mut self) {
        let matrices = self.facts.matrices;
        if matrices.is_empty() {
            return;
        }
        self.page.raw("<h2>Who may reach whom</h2>");
        for matrix in matrices {
            match matrix {
                Some(matrix) => self.matrix(matrix, matrices.len() > 1),
                None => self.dim("It takes too much memory: camfw show matrix --dport SERVICE"),
            }
        }
    }

    fn matrix(&mut self, matrix: &NamedMatrix, has_head: bool) {
        if has_head {
            self.page.element("h3", &[], &matrix.title);
        }
        const MOST: usize = 64;
        if matrix.rows.len() > MOST || matrix.columns.len() > MOST || !self.has_room() {
            self.dim("It is too large for this page: camfw show matrix prints it.");
            return;
        }
        self.dim("From the row to the column, as the rules let it through.");
        // A sheet is as narrow as a phone for so many.
        let class = if matrix.columns.len() > COLUMNS {
            "many"
        } else {
            ""
        };
        self.page.raw("<div class=\"wide\">");
        self.page.open("table", &[("class", &class)]);
        self.page.raw("<thead><tr><th></th>");
        for column in &matrix.columns {
            self.page.element("th", &[], &column.name);
        }
        self.page.raw("</tr></thead><tbody>");
        for (row, cells) in matrix.rows.iter().zip(&matrix.cells) {
            self.page.raw("<tr>");
            self.page.element("th", &[], &row.name);
            for (column, cell) in matrix.columns.iter().zip(cells) {
                let class = &KINDS[kind(cell)].0;
                // What a narrow screen shows in place of the column's head.
                self.page
                    .open("td", &[("class", class), ("data-to", &column.name)]);
                let words = cell.words();
                let words = words
                    .into_iter()
                    .take(if self.has_room() { WORDS } else { 0 });
                for word in words {
                    let word = if word == "." { "\u{b7}" } else { &word };
                    self.page.element("span", &[], &cut(word));
                }
                self.page.raw("</td>");
            }
            self.page.raw("</tr>");
        }
        self.page.raw("</tbody></table></div><dl>");
        let groups = matrix.groups().into_iter();
        let groups = groups.map(|group| (group.name.clone(), group.cameras.join(", ")));
        let marks = matrix.legend().into_iter();
        let marks = marks.map(|(mark, says)| (mark.to_owned(), says.to_owned()));
        for (name, says) in marks.chain(groups) {
            self.page.element("dt", &[], &name);
            self.page.element("dd", &[], &says);
        }
        self.page.raw("</dl>");
    }

    fn allowed(&mut self) {
        let lines = &self.facts.accounting.allow;
        if lines.is_empty() {
            return;
        }
        self.page.raw("<h2>What was allowed</h2><details><summary>new connections by line of the file</summary><ul class=\"rows\">");
        self.list(lines, ITEMS, |report, line| {
            let what = format!("{} {}", line.line, line.what);
            report.counted(&what, &grouped(line.new_connections));
        });
        self.page.raw("</ul></details>");
    }

    fn proven(&mut self) {
        let claims = self.facts.claims;
        if claims.is_empty() {
            return;
        }
        self.page.raw("<h2>What is proven</h2>");
        let (holding, broken): (Vec<_>, Vec<_>) = claims.iter().partition(|(holds, _)| *holds);
        for (class, all, says, of_one) in [
            ("no", broken, "do not hold", "1 claim does not hold"),
            ("ok", holding, "hold", "1 claim holds"),
        ] {
            if all.is_empty() {
                continue;
            }
            self.page.raw("<details><summary>");
            match all.len() {
                1 => self.page.text(of_one),
                count => self.page.text(&format!("{count} claims {says}")),
            }
            self.page.raw("</summary><ul>");
            self.list(&all, ITEMS, |report, (_, what)| {
                report.page.element("li", &[("class", &class)], &cut(what));
            });
            self.page.raw("</ul></details>");
        }
    }

    fn files(&mut self) {
        let files = self.facts.files;
        if files.is_empty() {
            return;
        }
        self.page.raw("<h2>The policy</h2>");
        for (name, text) in files.iter().take(ITEMS) {
            if !self.has_room() {
                break;
            }
            self.page.raw("<div class=\"c file\">");
            self.page.element("h3", &[], &cut(name));
            self.page.raw("<pre>");
            let lines: Vec<&str> = text.lines().collect();
            let mut shown = 0;
            for line in lines.iter().take(LINES) {
                if !self.has_room() {
                    break;
                }
                self.page.element("span", &[], &cut(line));
                shown += 1;
            }
            self.page.raw("</pre>");
            if shown < lines.len() {
                self.dim(&format!(
                    "and {}",
                    counted((lines.len() - shown) as u64, "more line")
                ));
            }
            self.page.raw("</div>");
        }
    }
}

/// A text that is not too long.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}
