//! The claim that lines with hours of local time open nothing outside of them.
//!
//! Packet sets know no time: to them a match for one may hold or not, whenever it is. So
//! this is shown rule by rule, by the line that a rule's label names, from the zone's
//! seasons and the hours as they are written.

use std::collections::BTreeMap;

use super::{ClaimResult, Proof};
use crate::field::{DAY, TimeWindow, utc};
use crate::local_time::{LocalTime, Season};
use crate::netfilter::{Match, Target, rule_text};
use crate::policy::{RuleLabel, RulePurpose};
use crate::prove::program::{Effect, ProgramTable};

/// The most jumps within each other that are followed.
const LEVELS: usize = 16;

/// Both the hours of a line and the times of a rule are the same a week later.
const WEEK: i64 = 7 * DAY as i64;

impl Proof<'_> {
    pub(super) fn hours(&mut self) {
        let Some(local) = &self.policy.local_time else {
            return;
        };
        // Lines may stand in one line of the file; a rule is then of any of them.
        let mut lines: BTreeMap<String, Vec<Option<TimeWindow>>> = BTreeMap::new();
        for allow in &self.policy.allows {
            let hours = lines.entry(allow.origin.to_string()).or_default();
            hours.push(allow.when);
        }
        let mut answer = ClaimResult::Holds;
        let chains = self.program.tables().iter().flat_map(|table| {
            let places = table.chains.iter().enumerate();
            places.map(move |(place, chain)| (table, place, chain))
        });
        let steps = chains.flat_map(|(table, place, chain)| {
            chain.steps.iter().map(move |step| (table, place, step))
        });
        for (table, place, step) in steps {
            // A helper looks into connections, whenever they were let through.
            if let Some(Target::Conntrack { .. }) = step.rule.target {
                continue;
            }
            let label = step.rule.comment().and_then(|it| it.as_str().parse().ok());
            let Some(RuleLabel {
                line,
                purpose: RulePurpose::Part(_),
            }) = label
            else {
                continue;
            };
            let hours = lines.get(&line).into_iter().flatten().copied();
            let Some(hours) = hours.collect::<Option<Vec<TimeWindow>>>() else {
                continue;
            };
            let times = step.rule.matches.iter().filter_map(|it| match it {
                Match::Time(time) => Some(*time),
                _ => None,
            });
            let times: Vec<TimeWindow> = times.collect();
            if hours.is_empty() {
                continue;
            }
            if let Some(at) = outside(&times, &hours, local)
                && !is_for_expected(table, place, LEVELS)
            {
                let rule = rule_text(step.rule);
                answer = ClaimResult::BrokenBy(format!("{rule} at {}", utc(at.unsigned_abs())));
                break;
            }
        }
        self.claim(
            format!(
                "lines with hours let nothing through at others, in local time of {}",
                local.zone
            ),
            answer,
        );
    }
}

/// Whether a chain is reached by nothing but what a helper expects: it belongs to a connection
/// that is open, which may go on when the hours are over.
fn is_for_expected(table: &ProgramTable<'_>, place: usize, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else {
        return false;
    };
    let mut reached = false;
    for (from, chain) in table.chains.iter().enumerate() {
        for step in &chain.steps {
            if !matches!(step.effect, Effect::Jump(to) | Effect::Goto(to) if to == place) {
                continue;
            }
            reached = true;
            let mut matches = step.rule.matches.iter();
            let expected = matches.any(|it| matches!(it, Match::ExpectedBy(_)));
            if !expected && !is_for_expected(table, from, levels) {
                return false;
            }
        }
    }
    reached
}

/// A time at which a rule with these times matches and no line with these hours has them.
fn outside(times: &[TimeWindow], hours: &[TimeWindow], local: &LocalTime) -> Option<i64> {
    let dates = times.iter().map(|time| time.dates());
    let first = dates.clone().map(|(first, _)| first).max().unwrap_or(0);
    let last = dates.map(|(_, last)| last).min().unwrap_or(u32::MAX);
    let (first, last) = (i64::from(first), i64::from(last));
    let mut known = first;
    for season in &local.seasons {
        let (from, until) = (season.from as i64, season.until as i64);
        if from <= known && known < until {
            let end = (until - 1).min(last);
            let found = outside_in(times, hours, season, known, end);
            if found.is_some() || end == last {
                return found;
            }
            known = until;
        }
    }
    (known <= last).then_some(known)
}

/// The same between two times of a season.
fn outside_in(
    times: &[TimeWindow],
    hours: &[TimeWindow],
    season: &Season,
    first: i64,
    last: i64,
) -> Option<i64> {
    let (day, ahead) = (DAY as i64, i64::from(season.ahead));
    // Nothing changes but at these seconds of a day.
    let mut edges = vec![0, -ahead];
    let all = times.iter().map(|it| (it, 0));
    let all = all.chain(hours.iter().map(|it| (it, ahead)));
    for (window, ahead) in all {
        edges.extend(window.edges().map(|edge| i64::from(edge) - ahead));
    }
    let last = last.min(first + WEEK + day);
    let days = first.div_euclid(day)..=last.div_euclid(day);
    let at = days.flat_map(|number| {
        edges
            .iter()
            .map(move |it| number * day + it.rem_euclid(day))
    });
    let mut at = [first]
        .into_iter()
        .chain(at)
        .filter(|at| (first..=last).contains(at));
    at.find(|at| {
        let matches = times.iter().all(|time| time.holds(*at));
        matches && !hours.iter().any(|hours| hours.is_at(*at + ahead))
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::policy::Answers;
    use crate::prove::claim::broken;
    use crate::source::Source;

    const WHEN: &str = r#"when = { from = "22:00", to = "06:00", days = "fri" }"#;

    fn plan(zone: &str, when: &str) -> Result<crate::plan::Plan, Box<dyn Error>> {
        plan_for("ssh", zone, when)
    }

    fn plan_for(
        service: &str,
        zone: &str,
        when: &str,
    ) -> Result<crate::plan::Plan, Box<dyn Error>> {
        let text = format!(
            "[router]\ntimezone = \"{zone}\"\n\
             [zones.home]\nrole = \"private\"\ninterface = \"eth1\"\naddress = \"192.168.5.1/24\"\n\
             [[allow]]\nfrom = \"home\"\nto = \"router\"\nservice = \"{service}\"\n{when}\n"
        );
        let times = |zone: &str| {
            let file = format!("{}/tests/zoneinfo/{zone}", env!("CARGO_MANIFEST_DIR"));
            let data = std::fs::read(file).map_err(|error| error.to_string())?;
            let time = LocalTime::new(zone, &data, 1_795_730_400, 1_793_491_200);
            time.ok_or("no local time".to_owned())
        };
        Ok(crate::plan_at(
            &Source::new("c.toml", text),
            &Answers::new(),
            &times,
        )?)
    }

    #[test]
    fn a_helper_looks_into_connections_at_all_hours() -> Result<(), Box<dyn Error>> {
        let plan = plan_for("ftp", "Europe/Berlin", WHEN)?;
        assert_eq!(broken(&plan.policy, &plan.rules), None);
        Ok(())
    }

    #[test]
    fn rules_of_other_hours_or_seasons_are_found() -> Result<(), Box<dyn Error>> {
        let right = plan("Europe/Berlin", WHEN)?;
        assert_eq!(broken(&right.policy, &right.rules), None);
        // The rules of a line that is open for less are contained in it.
        let less = plan("Europe/Berlin", &WHEN.replace("22:00", "22:01"))?;
        assert_eq!(broken(&right.policy, &less.rules), None);
        for (zone, when) in [
            ("Europe/Berlin", WHEN.replace("22:00", "21:59:59")),
            ("Europe/Berlin", WHEN.replace("06:00", "06:00:01")),
            ("Europe/Berlin", WHEN.replace("fri", "fri,sun")),
            ("Europe/Berlin", String::new()),
            ("Europe/Dublin", WHEN.to_owned()),
            ("America/New_York", WHEN.to_owned()),
        ] {
            let other = plan(zone, &when)?;
            let why = broken(&right.policy, &other.rules).unwrap_or_default();
            let claim = "does not hold: lines with hours let nothing through at others, in local time of Europe/Berlin: -";
            assert!(why.starts_with(claim), "{zone} {when}: {why}");
        }
        // A season for another, and rules past those that are known.
        let mut other = right.policy.clone();
        let local = other.local_time.as_mut().ok_or("no local time")?;
        local.seasons.pop();
        assert!(broken(&other, &right.rules).is_some());
        let mut other = right.policy.clone();
        let local = other.local_time.as_mut().ok_or("no local time")?;
        local.seasons[1].from += 1;
        local.seasons[0].until += 1;
        let why = broken(&other, &right.rules).unwrap_or_default();
        assert!(why.is_empty(), "at that second neither is open: {why}");
        Ok(())
    }
}
