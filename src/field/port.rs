//! TCP and UDP ports and port ranges.

use std::fmt;

/// A contiguous range of one or more TCP or UDP ports. [`PortRange::new`] excludes port
/// 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// A single port, 1 to 65535.
    pub const fn port(port: u16) -> PortRange {
        PortRange {
            first: port,
            last: port,
        }
    }

    /// The range `first` to `last`, both included; None if it would be empty or contain
    /// port 0, which no packet may use (RFC 6335, section 6).
    pub const fn new(first: u16, last: u16) -> Option<PortRange> {
        if first == 0 || first > last {
            None
        } else {
            Some(PortRange { first, last })
        }
    }

    /// Parses `21`, or a range with `separator` between its ends.
    pub fn parse(text: &str, separator: char) -> Option<PortRange> {
        let (first, last) = text.split_once(separator).unwrap_or((text, text));
        let number = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            if digits { text.parse().ok() } else { None }
        };
        PortRange::new(number(first.trim())?, number(last.trim())?)
    }

    /// Parses a port or range as rules have them: separated by `:`, with either end
    /// optional, and port 0 allowed.
    pub fn parse_any(text: &str) -> Option<PortRange> {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let number = |text: &str, missing: u16| match text {
            "" => Some(missing),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let (first, last) = (number(first, 0)?, number(last, u16::MAX)?);
        (!text.is_empty() && first <= last).then_some(PortRange { first, last })
    }

    /// The first port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether it has more than one port.
    pub fn is_range(self) -> bool {
        self.first != self.last
    }

    /// The remainder of the range without another: none, one or two ranges.
    pub fn without(self, other: PortRange) -> impl Iterator<Item = PortRange> {
        let before = PortRange::new(self.first, other.first.saturating_sub(1).min(self.last));
        let next = other.last.checked_add(1);
        let after = next.and_then(|next| PortRange::new(next.max(self.first), self.last));
        [before, after].into_iter().flatten()
    }

    /// The ports that are in both.
    pub fn common(self, other: PortRange) -> Option<PortRange> {
        PortRange::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// Whether it contains every port of `other`.
    pub fn contains(self, other: PortRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The union of both; None if a port between them is in neither.
    pub fn joined_with(self, other: PortRange) -> Option<PortRange> {
        let apart = |low: PortRange, high: PortRange| low.last.saturating_add(1) < high.first;
        if apart(self, other) || apart(other, self) {
            return None;
        }
        PortRange::new(self.first.min(other.first), self.last.max(other.last))
    }
}

impl fmt::Display for PortRange {
    /// The iptables notation: `21` or `50000:50100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_range() {
            write!(f, "{}:{}", self.first, self.last)
        } else {
            write!(f, "{}", self.first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(PortRange::parse("21", '-'), Some(PortRange::port(21)));
        assert_eq!(
            PortRange::parse("50000-50100", '-').map(|r| r.to_string()),
            Some("50000:50100".into())
        );
        for bad in ["0", "70000", "", "-", "5-", "9-5", "+5", "0-5", "a"] {
            assert_eq!(PortRange::parse(bad, '-'), None, "{bad:?}");
        }
    }
}
