//! What becomes of mail: what keeps it from being sent, and what `camfw-mail` says.

use crate::host::relay;
use crate::observe::mail_queue::MailQueue;
use crate::policy::Policy;

/// After how many seconds without a word the relay is taken to hang: it says one each second.
const SILENT: u64 = 120;

/// Why no mail can be sent, by the file and by its password alone.
pub(crate) fn trouble(policy: &Policy) -> Option<String> {
    match &policy.mail {
        Err(refusal) => Some(refusal.to_string()),
        Ok(Some(mail)) if !mail.one("user").is_empty() => {
            relay::password_problem(mail.one("password-file"))
        }
        Ok(_) => None,
    }
}

/// What `status` tells of mail.
#[derive(Debug, Default)]
pub(crate) struct MailReport {
    /// In words; None if the policy has no mail.
    pub(crate) words: Option<String>,
    /// How it does; None unless `camfw-mail` runs.
    pub(crate) queue: Option<MailQueue>,
    /// Whether somebody has to look.
    pub(crate) needs_attention: bool,
}

pub(crate) fn report(policy: &Policy) -> MailReport {
    if matches!(policy.mail, Ok(None)) {
        return MailReport::default();
    }
    let said = relay::said().map(|(text, age)| (MailQueue::parse(&text), age));
    let wrong = match (trouble(policy), &said) {
        (Some(trouble), _) => Some(format!("NOT SENT: {trouble}")),
        (None, None) => Some(
            "NOT SENT: camfw-mail does not run; start it, its log says what ended it".to_owned(),
        ),
        (None, Some((_, age))) if *age >= SILENT => Some(format!(
            "NOT KNOWN: camfw-mail has said nothing for {age} s; restart it, and look at its log"
        )),
        (None, Some((queue, _))) if queue.words.is_empty() => Some(
            "NOT KNOWN: camfw-mail runs and cannot write how it does; its log says why, as that /run is full".to_owned(),
        ),
        (None, Some(_)) => None,
    };
    let queue = said.map(|(queue, _)| queue);
    let asks = queue.as_ref().is_some_and(|it| it.needs_attention);
    MailReport {
        needs_attention: wrong.is_some() || asks,
        words: wrong.or_else(|| queue.as_ref().map(|it| it.words.clone())),
        queue,
    }
}
