//! What `camfw-mail` says of itself, as it writes it (`mail/src/told.rs`): a line of numbers and
//! a line of words. Another user's file: whatever cannot be read of it is 0.

use crate::json::json_object;
use crate::source::one_line;

/// How the mail of uploads does.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct MailQueue {
    /// How many files wait.
    pub(crate) files: u64,
    /// When the server last took a mail, in seconds since 1970; None since the boot.
    pub(crate) last_sent: Option<u64>,
    /// Since when it takes none; None while it does.
    pub(crate) not_taken_since: Option<u64>,
    /// Whether somebody has to look.
    pub(crate) needs_attention: bool,
    /// The same in words; empty if it could not write them.
    pub(crate) words: String,
}

json_object!(MailQueue { files, last_sent, not_taken_since } without { needs_attention, words });

impl MailQueue {
    pub(crate) fn parse(text: &str) -> MailQueue {
        let mut lines = text.lines();
        let mut numbers = lines.next().unwrap_or_default().split(' ');
        let mut queue = MailQueue::default();
        while let (Some(key), Some(value)) = (numbers.next(), numbers.next()) {
            let number = value.parse().unwrap_or(0);
            match key {
                "files" => queue.files = number,
                "last" => queue.last_sent = Some(number).filter(|at| *at > 0),
                "since" => queue.not_taken_since = Some(number).filter(|at| *at > 0),
                "attention" => queue.needs_attention = number > 0,
                _ => {}
            }
        }
        queue.words = one_line(lines.next().unwrap_or_default());
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_relay_writes_is_read_and_what_it_never_would_is_harmless() {
        let text = "files 12 last 1793500000 since 0 attention 1\n12 files to send\nsent 1.00\n";
        assert_eq!(
            MailQueue::parse(text),
            MailQueue {
                files: 12,
                last_sent: Some(1_793_500_000),
                not_taken_since: None,
                needs_attention: true,
                words: "12 files to send".into(),
            }
        );
        assert_eq!(MailQueue::parse(""), MailQueue::default());
        let hostile = MailQueue::parse("files -1 last x since\n\u{1b}[31m\n");
        assert_eq!((hostile.files, hostile.not_taken_since), (0, None));
        assert!(!hostile.words.contains('\u{1b}'));
    }
}
