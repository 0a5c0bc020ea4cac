//! `-j TCPMSS`: lowers the largest segment that the two ends of a TCP connection tell each
//! other, and never raises it (tcpmss_mangle_packet in net/netfilter/xt_TCPMSS.c).

use super::{Extension, Match, Negatable, Target, TcpFlags};

/// The largest segment that a connection may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentSize {
    /// What the MTUs of both ways leave, and what the kernel learned of the paths.
    PathMtu,
    /// This many bytes.
    Bytes(u16),
}

pub(super) const TCPMSS: Extension<Target> = Extension {
    name: "TCPMSS",
    kernel_option: Some("CONFIG_NETFILTER_XT_TARGET_TCPMSS"),
    read: |words| {
        if words.next_if_eq(CLAMP).is_some() {
            return Some(Target::SegmentSize(SegmentSize::PathMtu));
        }
        let bytes = words.option("--set-mss")?.parse().ok()?;
        Some(Target::SegmentSize(SegmentSize::Bytes(bytes)))
    },
};

const CLAMP: &str = "--clamp-mss-to-pmtu";

pub(super) fn print(size: SegmentSize) -> String {
    match size {
        SegmentSize::PathMtu => format!(" {CLAMP}"),
        SegmentSize::Bytes(bytes) => format!(" --set-mss {bytes}"),
    }
}

/// The packets that the target takes, and the kernel accepts a rule for no others: those
/// that open or answer a connection (tcpmss_tg4_check in xt_TCPMSS.c).
pub const SYN: Match = Match::Tcp {
    sport: None,
    dport: None,
    flags: Some(Negatable {
        negated: false,
        value: TcpFlags {
            mask: 0b00_0110,
            set: 0b00_0010,
        },
    }),
};
