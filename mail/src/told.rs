//! What the relay says of itself: a line of numbers and a line of words, which `camfw` shows,
//! and when the last hour's mails were sent, for the next run.

use std::fmt;

/// How the relay does.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct RelayReport {
    /// How many files wait.
    pub files: usize,
    /// When the server last took a mail, in seconds since 1970; 0 is never since the boot.
    pub last_sent: i64,
    /// Since when it takes none, in seconds since 1970; 0 while it takes what it is given.
    pub not_taken_since: i64,
    /// Whether somebody has to look.
    pub needs_attention: bool,
    /// The same in words, a part each.
    pub words: Vec<String>,
    /// When the mails of the last hour were sent, in seconds since the kernel started.
    pub sent: Vec<f64>,
}

impl RelayReport {
    /// What the next run goes on with. A file that was only half replaced, as by a kill, says
    /// something else, and never nothing: a time that cannot be is left out by whoever counts.
    pub fn parse(text: &str) -> RelayReport {
        let mut report = RelayReport::default();
        let mut lines = text.lines();
        let mut numbers = lines.next().unwrap_or_default().split(' ');
        while let (Some(key), Some(value)) = (numbers.next(), numbers.next()) {
            let value = value.parse().unwrap_or(0);
            match key {
                "last" => report.last_sent = value,
                "since" => report.not_taken_since = value,
                _ => {}
            }
        }
        let sent = lines.find_map(|line| line.strip_prefix("sent "));
        let sent = sent.unwrap_or_default().split(' ');
        report.sent = sent.filter_map(|at| at.parse().ok()).collect();
        report
    }
}

impl fmt::Display for RelayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "files {} last {} since {} attention {}",
            self.files,
            self.last_sent,
            self.not_taken_since,
            u8::from(self.needs_attention)
        )?;
        writeln!(f, "{}", self.words.join("; "))?;
        f.write_str("sent")?;
        for at in &self.sent {
            write!(f, " {at:.2}")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(mails: u32) -> RelayReport {
        RelayReport {
            files: 12,
            last_sent: 1_793_500_000,
            not_taken_since: 1_793_500_001,
            needs_attention: true,
            words: vec!["12 files to send".into(), "NOT TAKEN since today".into()],
            sent: (0..mails).map(|at| 90_000_000.0 + f64::from(at)).collect(),
        }
    }

    #[test]
    fn the_next_run_goes_on_with_it() {
        let text = report(2).to_string();
        assert_eq!(
            text,
            "files 12 last 1793500000 since 1793500001 attention 1\n\
             12 files to send; NOT TAKEN since today\nsent 90000000.00 90000001.00\n"
        );
        let parsed = RelayReport::parse(&text);
        assert_eq!(parsed.last_sent, 1_793_500_000);
        assert_eq!(parsed.not_taken_since, 1_793_500_001);
        assert_eq!(parsed.sent, report(2).sent);
        assert_eq!(RelayReport::parse(""), RelayReport::default());
    }

    #[test]
    fn an_hour_of_as_many_mails_as_there_can_be_is_kept_whole() {
        let text = report(3600).to_string();
        assert!(text.len() < crate::host::state_file::MOST, "{}", text.len());
        assert_eq!(RelayReport::parse(&text).sent.len(), 3600);
    }

    /// It is written in place: a kill leaves the beginning of the new and the end of the old.
    #[test]
    fn what_a_kill_left_half_written_is_read_and_counts_no_more_than_was_sent() {
        for (old, new) in [(0, 5), (5, 0), (3, 4), (40, 39)] {
            let (old, new) = (report(old).to_string(), report(new).to_string());
            for cut in 0..=new.len() {
                let rest = old.get(cut..).unwrap_or_default();
                let parsed = RelayReport::parse(&format!("{}{rest}", &new[..cut]));
                assert!(parsed.sent.len() <= 42, "{cut}: {parsed:?}");
            }
        }
    }
}
