//! Resolves `[mail]`, by which `camfw-mail` sends what cameras upload.
//!
//! The keys are a table: each has a form and a default. That the router may reach the mail
//! server, and cameras its FTP server, is held against the allow lines.

use std::net::IpAddr;

use super::{Resolver, span_in};
use crate::config::{MailTable, Scalar, Scalars, Spanned};
use crate::field::PortRange;
use crate::name::HostName;
use crate::nearest::instead;
use crate::policy::{Allow, Camera, Egress, Endpoint, Mail};
use crate::source::{Refusal, Refused};

/// What a value of a key may be.
#[derive(Clone, Copy)]
enum MailForm {
    /// A mail address.
    Address,
    /// One of the file's cameras.
    Camera,
    /// The name or the address of a host.
    Host,
    /// A whole number within limits, of what.
    Number(u32, u32, &'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An absolute path.
    Path,
    /// The name of an account.
    Account,
}

/// What stands for the value of a key that the file does not give.
#[derive(Clone, Copy)]
enum MailDefault {
    Required(&'static str),
    Value(&'static str),
    Absent,
}

use MailDefault::{Absent, Required, Value};

/// Each key, whether it may be a list, its form and its default.
const KEYS: &[(&str, bool, MailForm, MailDefault)] = &[
    ("to", true, MailForm::Address, Required("owner@example.org")),
    (
        "from",
        false,
        MailForm::Address,
        Required("router@example.org"),
    ),
    (
        "server",
        false,
        MailForm::Host,
        Required("smtp.example.org"),
    ),
    ("port", false, MailForm::Number(1, 65535, "a port"), Absent),
    (
        "tls",
        false,
        MailForm::Word(&["starttls", "implicit"]),
        Value("starttls"),
    ),
    (
        "ca-file",
        false,
        MailForm::Path,
        Value("/etc/ssl/certs/ca-certificates.crt"),
    ),
    ("user", false, MailForm::Account, Absent),
    (
        "password-file",
        false,
        MailForm::Path,
        Value("/etc/camfw-mail/password"),
    ),
    ("cameras", true, MailForm::Camera, Absent),
    ("folder", false, MailForm::Path, Value("/srv/ftp")),
    (
        "per-hour",
        false,
        MailForm::Number(1, 3600, "a number of mails in an hour"),
        Value("20"),
    ),
    (
        "attachments",
        false,
        MailForm::Number(1, 50, "a number of MiB in one mail"),
        Value("10"),
    ),
    (
        "after",
        false,
        MailForm::Word(&["delete", "keep"]),
        Value("delete"),
    ),
    (
        "keep-days",
        false,
        MailForm::Number(1, 365, "a number of days"),
        Value("7"),
    ),
    (
        "quota",
        false,
        MailForm::Number(1, 1_048_576, "a number of MiB for the upload folder"),
        Value("256"),
    ),
];

impl Resolver<'_> {
    /// `[mail]`, if the file has it. Where the lines are refused themselves, it is not held
    /// against them.
    pub(super) fn mail(
        &self,
        written: Option<&Spanned<MailTable>>,
        allows: Option<&[Allow]>,
    ) -> Result<Option<Mail>, Refusal> {
        let Some(written) = written else {
            return Ok(None);
        };
        let table = written.get_ref();
        let mut refused = Refused::default();
        let mut mail = Mail {
            values: Vec::new(),
            cameras: Vec::new(),
        };
        for key in table.keys() {
            if !KEYS.iter().any(|(name, ..)| name == key.get_ref()) {
                let name = key.get_ref();
                let known = instead(name, KEYS.iter().map(|(name, ..)| *name));
                let what = format!("[mail] has no key {name:?}; {known}");
                refused.note::<()>(Err(self.source.refuse(key.span(), what)));
            }
        }
        for (name, is_list, form, default) in KEYS {
            let given = table.iter().find(|(key, _)| key.get_ref() == name);
            let values = match (given, default) {
                (Some((_, given)), _) => refused.note(self.mail_values(given, *is_list, *form)),
                (None, Required(example)) => {
                    let what = format!("[mail] has no {name}; add {name} = \"{example}\"");
                    refused.note(Err(self.source.refuse(written.span(), what)))
                }
                (None, Value(value)) => Some(vec![(*value).to_owned()]),
                (None, Absent) => None,
            };
            mail.values.extend(values.map(|values| (*name, values)));
        }
        refused.or(())?;
        let Some(allows) = allows else {
            return Err(Refusal::consequence());
        };
        let mut refused = Refused::default();
        if mail.all("port").is_empty() {
            // RFC 6409; RFC 8314, 3.3.
            let port = match mail.one("tls") {
                "implicit" => "465",
                _ => "587",
            };
            mail.values.push(("port", vec![port.to_owned()]));
        }
        let named = mail.all("cameras").iter();
        let mut cameras: Vec<&Camera> = named.filter_map(|name| self.find_camera(name)).collect();
        if cameras.is_empty() {
            cameras = self.cameras.iter().collect();
        }
        mail.cameras = cameras
            .iter()
            .map(|it| (it.name.clone(), it.address))
            .collect();
        mail.values.retain(|(name, _)| *name != "cameras");
        let mut refuse = |key: &str, what: String| {
            let key = table.iter().find(|(name, _)| name.get_ref() == key);
            let span = key.map_or_else(|| written.span(), |(_, value)| value.span());
            refused.note::<()>(Err(self.source.refuse(span, what)));
        };
        if self.egress == Egress::Listed && !allows.iter().any(|allow| reaches_server(allow, &mail))
        {
            let (server, port) = (mail.one("server"), mail.one("port"));
            let key = match server.parse::<IpAddr>() {
                Ok(_) => "address",
                Err(_) => "host",
            };
            refuse(
                "server",
                format!(
                    "the router may not send to {server}, port {port}; add [[allow]] from = \"router\", to the zone where it is, {key} = \"{server}\", service = {{ tcp = {port} }}"
                ),
            );
        }
        let may = |camera| allows.iter().any(|allow| uploads(allow, camera));
        let silent = cameras.iter().find(|camera| !may(Some(camera)));
        if silent.is_some() || (cameras.is_empty() && !may(None)) {
            let who = silent.map_or_else(
                || "nobody may".to_owned(),
                |camera| format!("camera {} may not", camera.name),
            );
            refuse(
                "cameras",
                format!(
                    "{who} upload by FTP to the router; add [[allow]] to = \"router\", service = \"ftp\", or name other cameras"
                ),
            );
        }
        if cameras.iter().any(|camera| camera.name.as_str() == "sent") {
            let what = "camera sent would have the folder of what was sent; give it another name";
            refuse("cameras", what.to_owned());
        }
        refused.or(Some(mail))
    }

    fn mail_values(
        &self,
        given: &Spanned<Scalars>,
        is_list: bool,
        form: MailForm,
    ) -> Result<Vec<String>, Refusal> {
        let all = &given.get_ref().0;
        if all.is_empty() || (all.len() > 1 && !is_list) {
            return Err(self.source.refuse(
                given.span(),
                format_args!(
                    "a list of {} stands where one value does; write one",
                    all.len()
                ),
            ));
        }
        Refused::each(all, |value| {
            let Scalar(text) = value.get_ref();
            match wrong(text, form, |name| {
                self.find_camera(name).is_some() || self.refused_names.contains(name)
            }) {
                None => Ok(text.clone()),
                Some(what) => {
                    let span = span_in(value, given.span());
                    Err(self.source.refuse(span, format_args!("{text:?} {what}")))
                }
            }
        })
    }
}

/// What is wrong with a value, and what to write; None if it is good. Nothing that is good
/// has a space, a quote or a control character, so that it is one word of any program's
/// configuration.
fn wrong(text: &str, form: MailForm, is_camera: impl Fn(&str) -> bool) -> Option<String> {
    let of = |more: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || more.as_bytes().contains(&b))
    };
    let (good, what) = match form {
        MailForm::Address => (
            is_address(text),
            "is not a mail address; write it as owner@example.org".to_owned(),
        ),
        MailForm::Camera => (
            is_camera(text),
            "names no camera; use a name from [[cameras]]".to_owned(),
        ),
        MailForm::Host => (
            text.parse::<IpAddr>().is_ok() || HostName::try_from(text).is_ok(),
            "is neither a host's name nor an address; write it as smtp.example.org".to_owned(),
        ),
        MailForm::Number(least, most, what) => (
            text.parse()
                .is_ok_and(|number: u32| (least..=most).contains(&number)),
            format!("is not {what}; use {least} to {most}"),
        ),
        MailForm::Word(words) => (
            words.contains(&text),
            format!(
                "is not one of the words allowed here; use one of {}",
                words.join(", ")
            ),
        ),
        MailForm::Path => (
            text.starts_with('/') && text.len() > 1 && !text.contains("/.") && of("/._-"),
            "is not a plain path from /; write letters, digits and . _ - between the slashes"
                .to_owned(),
        ),
        MailForm::Account => (
            !text.is_empty() && text.len() <= 128 && of("@._+-="),
            "is not an account's name; use letters, digits and any of @ . _ + - =".to_owned(),
        ),
    };
    (!good).then_some(what)
}

/// Whether it is a mailbox as mail programs take it unquoted (RFC 5321, 4.1.2), in ASCII.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"._+-=".contains(&b);
    (1..=64).contains(&local.len())
        && local.bytes().all(atom)
        && !local.starts_with(['-', '.'])
        && HostName::try_from(domain).is_ok()
}

/// Whether a line lets the router open connections to the mail server.
fn reaches_server(allow: &Allow, mail: &Mail) -> bool {
    let (server, port) = (mail.one("server"), mail.one("port").parse().unwrap_or(0));
    let port = PortRange::port(port);
    allow.flows.iter().any(|flow| flow.from == Endpoint::Router)
        && allow
            .services
            .iter()
            .any(|it| it.tcp.iter().any(|ports| ports.contains(port)))
        && (allow.hosts.iter().any(|host| host.as_str() == server)
            || match server.parse::<IpAddr>() {
                Ok(address) => allow.destinations.holds(address),
                Err(_) => allow.is_to_anywhere(),
            })
}

/// Whether a line lets a camera, or anybody, upload by FTP to the router.
fn uploads(allow: &Allow, camera: Option<&Camera>) -> bool {
    allow
        .services
        .iter()
        .any(|it| it.passive.is_some() || it.helper)
        && allow.flows.iter().any(|flow| {
            flow.to == Endpoint::Router
                && camera.is_none_or(|camera| flow.from == Endpoint::Zone(camera.zone))
        })
        && camera.is_none_or(|camera| allow.sources.holds(camera.address.into()))
}
