//! A port condition of an access list (RFC 8519), and a service's ports in a configuration.

use std::fmt;

use serde_json::Value;

/// PortSpan from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortSpan {
    first: u16,
    last: u16,
}

impl PortSpan {
    /// Every port.
    pub const ALL: Self = Self {
        first: 1,
        last: u16::MAX,
    };

    /// The port, if it is one alone.
    pub fn single(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first)
    }

    /// Reads `{ operator, port }` or `{ lower-port, upper-port }`; `None` is what is neither, or is no range.
    pub fn read(condition: &Value) -> Option<Self> {
        let number = |key: &str| {
            let number = u16::try_from(condition.get(key)?.as_u64()?).ok();
            number.filter(|port| *port > 0)
        };
        let keys = condition.as_object()?.len();
        if let (Some(first), Some(last), 2) = (number("lower-port"), number("upper-port"), keys) {
            return (first <= last).then_some(Self { first, last });
        }
        let port = number("port")?;
        match (condition.get("operator").and_then(Value::as_str), keys) {
            (Some("eq"), 2) | (None, 1) => Some(Self {
                first: port,
                last: port,
            }),
            (Some("gte"), 2) => Some(Self {
                first: port,
                last: u16::MAX,
            }),
            (Some("lte"), 2) => Some(Self {
                first: 1,
                last: port,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for PortSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "\"{}-{}\"", self.first, self.last),
        }
    }
}
