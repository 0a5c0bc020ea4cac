//! What `camfw-mail` and msmtp(1), which carries its mail to the server, are told.

use std::fmt::Write;

use super::NothingToServe;
use crate::policy::{Mail, Policy};

/// Where `camfw-mail` finds what it is told, and says how it does.
pub const RELAY_FOLDER: &str = "/run/camfw-mail";

/// The settings of `camfw-mail`: a key and a value in each line.
///
/// # Errors
/// Returns an error if the file has no `[mail]`.
pub fn relay(policy: &Policy) -> Result<String, NothingToServe> {
    let mail = mail_of(policy)?;
    let mut text = String::new();
    for (key, values) in &mail.values {
        for value in values {
            let _ = writeln!(text, "{key} {value}");
        }
    }
    for (name, address) in &mail.cameras {
        let _ = writeln!(text, "camera {name} {address}");
    }
    Ok(text)
}

/// The lines for a configuration of msmtp: never without TLS, nor to a server that
/// cannot show who it is.
///
/// # Errors
/// Returns an error if the file has no `[mail]`.
pub fn msmtp(policy: &Policy) -> Result<String, NothingToServe> {
    let mail = mail_of(policy)?;
    let starttls = match mail.one("tls") {
        "implicit" => "off",
        _ => "on",
    };
    let mut text = format!(
        "# for camfw-mail\naccount default\nhost {}\nport {}\nfrom {}\ntls on\ntls_starttls {starttls}\ntls_trust_file {}\ntimeout 60\n",
        mail.one("server"),
        mail.one("port"),
        mail.one("from"),
        mail.one("ca-file"),
    );
    if !mail.one("user").is_empty() {
        let (user, file) = (mail.one("user"), mail.one("password-file"));
        let _ = writeln!(text, "auth on\nuser {user}\npasswordeval cat {file}");
    }
    Ok(text)
}

fn mail_of(policy: &Policy) -> Result<&Mail, NothingToServe> {
    match &policy.mail {
        Ok(Some(mail)) => Ok(mail),
        _ => Err(NothingToServe(
            "it has no [mail], by which uploads become mail; add it".into(),
        )),
    }
}
