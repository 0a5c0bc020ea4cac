//! `camfw trace`: what becomes of one packet, rule by rule.

use super::args::Given;
use super::command::Command;
use super::dump::{LIVE, NETWORKS, RULES, dump, networks, plan};
use super::error::CliError;
use super::flag::Flag;
use super::packet::{self, *};
use super::print;
use crate::exit_code::ExitCode;
use crate::host::text_file;
use crate::prove::Tracer;

const PACKETS: Flag = Flag::valued(
    "packets",
    "FILE",
    "packets, one a line in the flags below; a line of answer each",
);

pub(super) const COMMAND: Command = Command {
    name: "trace",
    operands: &[],
    summary: "what becomes of one packet, rule by rule",
    about: "\
The packet's addresses are needed; all else has a default. Where it comes from
and goes to is told by its addresses if the policy or --networks has them. The
ends of its connection are those of iptables-extensions(8), conntrack.",
    flags: &[
        LIVE,
        RULES,
        NETWORKS,
        PACKETS,
        SRC,
        DST,
        FROM,
        TO,
        PROTO,
        SPORT,
        DPORT,
        ICMP_TYPE,
        FLAGS,
        STATE,
        MAC,
        MARK,
        TTL,
        FRAGMENT,
        DNAT,
        SNAT,
        CTDIR,
        CTORIGSRC,
        CTORIGDST,
        CTREPLSRC,
        CTREPLDST,
        CTORIGSRCPORT,
        CTREPLSRCPORT,
        EXPECTED,
        HELPER,
        ELSEWHERE,
    ],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let tracer = match given.file(&RULES) {
        Some(file) => {
            let (rules, family) = dump(&file)?;
            Tracer::of_rules(rules, family, networks(given)?.unwrap_or_default())
        }
        None => {
            let plan = plan(given)?;
            Tracer::of_policy(plan.policy, plan.rules)
        }
    };
    let Some(file) = given.file(&PACKETS) else {
        return Ok(print(&tracer.path(&packet::given(given)?)?));
    };
    let text = text_file::read(&file)?;
    let at = |line: usize, error: CliError| CliError::PacketLine {
        file: file.clone(),
        line: line + 1,
        source: Box::new(error),
    };
    let (mut lines, mut packets) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            lines.push(number);
            packets.push(packet::of_line(line).map_err(|error| at(number, error.into()))?);
        }
    }
    let verdicts = tracer.verdicts(&packets);
    let verdicts = verdicts.map_err(|(index, error)| at(lines[index], error.into()))?;
    Ok(print(&verdicts))
}
