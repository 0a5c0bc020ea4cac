//! What becomes of mail: what keeps it from being sent, and what `camfw-mail` says.

use crate::host::relay;
use crate::policy::Policy;

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

/// What `status` tells of mail; None if the file has none.
pub(crate) fn report(policy: &Policy) -> Option<String> {
    if matches!(policy.mail, Ok(None)) {
        return None;
    }
    Some(match (trouble(policy), relay::said()) {
        (Some(trouble), _) => format!("NOT SENT: {trouble}"),
        (None, Some(said)) => said,
        (None, None) => {
            "NOT SENT: camfw-mail does not run; start it, its log says what ended it".into()
        }
    })
}
