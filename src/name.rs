//! Names accepted by the kernel and by iptables, valid by construction.
//!
//! Owns each length limit, with its source. A value of these types can be rendered
//! anywhere without quoting and without another check. Copies of a name share its text,
//! since large policies have each name in many rules.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Why a string is not a valid name, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} {given:?} {problem}")]
pub struct NameError {
    what: &'static str,
    given: String,
    problem: String,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(given: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), String> = $check;
                match check(given) {
                    Ok(()) => Ok($name(given.into())),
                    Err(problem) => Err(NameError { what: $what, given: given.to_owned(), problem }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The longest interface name in bytes: IFNAMSIZ is 16 with its NUL
/// (include/uapi/linux/if.h).
pub const INTERFACE_NAME_MAX: usize = 15;

/// The longest chain name in bytes: XT_EXTENSION_MAXNAMELEN is 29 with its NUL
/// (include/uapi/linux/netfilter/x_tables.h).
pub const CHAIN_NAME_MAX: usize = 28;

/// The longest zone name in bytes, so that `FROM_to_TO` is a chain name.
pub const ZONE_NAME_MAX: usize = (CHAIN_NAME_MAX - "_to_".len()) / 2;

/// The longest log prefix in bytes: xt_log_info.prefix is 30 with its NUL
/// (include/uapi/linux/netfilter/xt_LOG.h).
pub const LOG_PREFIX_MAX: usize = 29;

/// The longest comment in bytes: XT_MAX_COMMENT_LEN is 256 with its NUL
/// (include/uapi/linux/netfilter/xt_comment.h).
pub const COMMENT_MAX: usize = 255;

name!(
    /// The name of a network interface. The kernel refuses `/`, white space, `.` and
    /// `..` (dev_valid_name); iptables treats a final `+` as a wildcard. Quotes and
    /// control characters are refused because no sensible name has them.
    InterfaceName, "interface", |name| {
        length(name, INTERFACE_NAME_MAX)?;
        if name == "." || name == ".." {
            return Err("is a folder's name, not an interface's".into());
        }
        if name == "lo" {
            return Err("is the loopback, which belongs to no zone; name a network interface".into());
        }
        if name.starts_with('-') {
            return Err("begins with -, as options do; begin it with a letter".into());
        }
        let alias = name.split_once(':');
        if let Some((device, _)) = alias.filter(|(it, _)| InterfaceName::try_from(*it).is_ok()) {
            return Err(format!(
                "is an alias, which is no interface; name {device}, and give all its addresses in a list: address = [\"…\", \"…\"]"
            ));
        }
        characters(name, "letters, digits and any of . _ - @", |c| {
            c.is_ascii_alphanumeric() || "._-@".contains(c)
        })
    }
);

name!(
    /// The name of a zone. It has no `_`, so that a chain `FROM_to_TO` identifies one
    /// pair of zones.
    ZoneName, "zone name", |name| {
        length(name, ZONE_NAME_MAX)?;
        if matches!(name, "any" | "router") {
            return Err("means something else in an allow line; choose another".into());
        }
        lower_case_word(name)
    }
);

name!(
    /// The name of a service, built in or defined in the file.
    ServiceName, "service name", |name| {
        length(name, 32)?;
        lower_case_word(name)
    }
);

name!(
    /// The name of a chain, built in or user-defined.
    ChainName, "chain name", |name| {
        length(name, CHAIN_NAME_MAX)?;
        if name.starts_with(['-', '!']) {
            return Err("begins with - or !; begin it otherwise".into());
        }
        // Accepts the names other tools use: Shorewall's ~log0, Docker's DOCKER-USER.
        characters(name, "printable ASCII without spaces, quotes and backslashes", |c| {
            plain(c) && c != ' '
        })
    }
);

name!(
    /// The text that the LOG target writes before the packet.
    LogPrefix, "log prefix", |prefix| {
        length(prefix, LOG_PREFIX_MAX)?;
        characters(prefix, "printable ASCII without quotes and backslashes", plain)
    }
);

name!(
    /// The text of a comment match.
    Comment, "comment", |comment| {
        length(comment, COMMENT_MAX)?;
        characters(comment, "printable ASCII without quotes and backslashes", plain)
    }
);

/// The Ethernet hardware address of a single device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// The six bytes in wire order.
    pub fn bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// The address as a number, first byte most significant.
    pub fn number(&self) -> u128 {
        let bytes = self.0.iter();
        bytes.fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

impl From<[u8; 6]> for MacAddress {
    fn from(bytes: [u8; 6]) -> MacAddress {
        MacAddress(bytes)
    }
}

impl TryFrom<&str> for MacAddress {
    type Error = NameError;
    fn try_from(given: &str) -> Result<Self, NameError> {
        let wrong = |problem: &str| NameError {
            what: "hardware address",
            given: given.to_owned(),
            problem: problem.to_owned(),
        };
        let bytes = six_bytes(given)
            .ok_or_else(|| wrong("is not six bytes; write it as 00:04:9f:00:00:01"))?;
        // The lowest bit of the first byte marks a group (IEEE 802).
        if bytes == [0; 6] || bytes[0] & 1 == 1 {
            return Err(wrong("is not a single device's; give the device's own"));
        }
        Ok(MacAddress(bytes))
    }
}

/// Six bytes as people and devices print them: `00:04:9f:00:00:01`, with dashes in place of
/// the colons, or as `0004.9f00.0001`.
fn six_bytes(text: &str) -> Option<[u8; 6]> {
    let (separator, digits) = match text.bytes().find(|byte| b":-.".contains(byte)) {
        Some(b'.') => ('.', 4),
        Some(b'-') => ('-', 2),
        _ => (':', 2),
    };
    let mut bytes = Vec::new();
    for part in text.split(separator) {
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for place in (0..digits).step_by(2) {
            bytes.push(u8::from_str_radix(&part[place..place + 2], 16).ok()?);
        }
    }
    bytes.try_into().ok()
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

name!(
    /// The name of a camera. An allow line accepts it wherever it accepts a zone.
    CameraName, "camera name", |name| {
        length(name, 32)?;
        if matches!(name, "any" | "router") {
            return Err("means something else in an allow line; choose another".into());
        }
        lower_case_word(name)
    }
);

name!(
    /// The name of a host (RFC 1123, section 2.1): labels of letters, digits and `-`,
    /// separated by dots.
    HostName, "host name", |name| {
        length(name, 253)?;
        characters(name, "letters, digits and any of . -", |c| {
            c.is_ascii_alphanumeric() || ".-".contains(c)
        })?;
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        };
        if !name.split('.').all(label) {
            return Err("has a part that is empty, over 63 long or begins or ends with -; write it as smtp.example.org".into());
        }
        // A name whose last label is all digits is an IP address, or a mistyped one.
        if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return Err("ends in a number; write an address as address".into());
        }
        Ok(())
    }
);

fn length(name: &str, max: usize) -> Result<(), String> {
    match name.len() {
        0 => Err("is empty; give it a name".into()),
        n if n > max => Err(format!("is {n} bytes long, the limit is {max}; shorten it")),
        _ => Ok(()),
    }
}

fn characters(name: &str, allowed: &str, is_allowed: fn(char) -> bool) -> Result<(), String> {
    match name.chars().find(|c| !is_allowed(*c)) {
        Some(c) => Err(format!("has the character {c:?}; use {allowed}")),
        None => Ok(()),
    }
}

fn plain(c: char) -> bool {
    (c == ' ' || c.is_ascii_graphic()) && !"\"'`\\".contains(c)
}

fn lower_case_word(name: &str) -> Result<(), String> {
    characters(name, "lower-case letters, digits and -", |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
    })?;
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err("does not begin with a lower-case letter; let it".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_kernels() {
        assert!(InterfaceName::try_from("a".repeat(15).as_str()).is_ok());
        assert!(InterfaceName::try_from("a".repeat(16).as_str()).is_err());
        assert!(ChainName::try_from("a".repeat(28).as_str()).is_ok());
        assert!(ChainName::try_from("a".repeat(29).as_str()).is_err());
        assert!(LogPrefix::try_from("a".repeat(29).as_str()).is_ok());
        assert!(LogPrefix::try_from("a".repeat(30).as_str()).is_err());
        let zone = "a".repeat(ZONE_NAME_MAX);
        assert!(ZoneName::try_from(zone.as_str()).is_ok());
        assert!(ChainName::try_from(format!("{zone}_to_{zone}").as_str()).is_ok());
    }

    #[test]
    fn what_would_need_quoting_is_no_name() {
        for bad in [
            "", "a b", "a\"b", "a'b", "a\nb", "eth0/1", "eth+", "..", "lo", "ü", "-j",
        ] {
            assert!(InterfaceName::try_from(bad).is_err(), "{bad:?}");
        }
        for bad in ["any", "router", "A", "1a", "a_b", "a\"b"] {
            assert!(ZoneName::try_from(bad).is_err(), "{bad:?}");
        }
        for bad in ["a\"b", "a'b", "a\\b", "a\nb", "é"] {
            assert!(LogPrefix::try_from(bad).is_err(), "{bad:?}");
            assert!(Comment::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hardware_addresses_as_people_write_them() {
        let read = |text: &str| MacAddress::try_from(text).ok().map(|mac| mac.to_string());
        for good in [
            "00:04:9f:00:0a:01",
            "00:04:9F:00:0A:01",
            "00-04-9F-00-0A-01",
            "0004.9f00.0a01",
            "0004.9F00.0A01",
        ] {
            assert_eq!(read(good).as_deref(), Some("00:04:9f:00:0a:01"), "{good}");
        }
        for bad in [
            "00049f000a01",
            "00:04-9f:00:0a:01",
            "00.04.9f.00.0a.01",
            "0004:9f00:0a01",
            "0004-9f00-0a01",
            "0004.9f00",
            "0004.9f00.0a01.",
            "0-04-9f-00-0a-01",
            "00:04:9f:00:0a:0é",
            "",
            "-",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = ZoneName::try_from("Cam").err().map(|e| e.to_string());
        assert_eq!(
            error.as_deref(),
            Some("zone name \"Cam\" has the character 'C'; use lower-case letters, digits and -")
        );
    }
}
