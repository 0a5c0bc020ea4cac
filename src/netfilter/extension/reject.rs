//! `-j REJECT`: drops the packet and answers its sender.

use super::{Extension, Target};
use crate::family::IpFamily;

/// The answer of REJECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A TCP reset, in a rule of TCP alone.
    TcpReset,
    /// The ICMP error that an administrator prohibits it, of this family.
    Prohibited(IpFamily),
}

pub(super) const REJECT: Extension<Target> = Extension {
    name: "REJECT",
    // One for each family: see `option`.
    kernel_option: None,
    read: |words| {
        let with = words.option("--reject-with")?;
        let answer = ANSWERS.into_iter().find(|answer| name(*answer) == with);
        answer.map(Target::Reject)
    },
};

const ANSWERS: [Answer; 3] = [
    Answer::TcpReset,
    Answer::Prohibited(IpFamily::V4),
    Answer::Prohibited(IpFamily::V6),
];

/// The kernel option of the target REJECT in this family (net/ipv{4,6}/netfilter/Kconfig).
pub(super) fn option(target: &str, family: IpFamily) -> Option<&'static str> {
    (target == REJECT.name).then_some(match family {
        IpFamily::V4 => "CONFIG_IP_NF_TARGET_REJECT",
        IpFamily::V6 => "CONFIG_IP6_NF_TARGET_REJECT",
    })
}

fn name(answer: Answer) -> &'static str {
    match answer {
        Answer::TcpReset => "tcp-reset",
        Answer::Prohibited(IpFamily::V4) => "icmp-admin-prohibited",
        Answer::Prohibited(IpFamily::V6) => "icmp6-adm-prohibited",
    }
}

pub(super) fn print(answer: Answer) -> String {
    format!(" --reject-with {}", name(answer))
}
