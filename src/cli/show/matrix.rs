//! `camfw show matrix`: which zones reach which.

use crate::cli::dump::{LIVE, NETWORKS, RULES, dump, needed_networks, plan};
use crate::cli::value::Port;
use crate::cli::{CliError, Command, ExitCode, Flag, Given, print};
use crate::family::IpFamily;
use crate::netfilter::Protocol;
use crate::prove::{self, MatrixQuestion};

const DPORT: Flag = Flag::valued(
    "dport",
    "N",
    "connections to this port, as they are opened; of TCP\nunless --proto is given",
);
const PROTO: Flag = Flag::valued(
    "proto",
    "P",
    "connections of tcp, udp, icmp, icmpv6 or a number",
);
const JSON: Flag = Flag::switch("json", "as JSON");
const SVG: Flag = Flag::switch("svg", "as a picture");
const IPV4: Flag = Flag::switch("ipv4", "by IPv4, as unless given").short('4');
const IPV6: Flag = Flag::switch("ipv6", "by IPv6").short('6');

pub(in crate::cli) const COMMAND: Command = Command::new("show matrix", "who reaches whom", run)
    .about(
        "Addresses that are treated alike are one class; for each class, to which others
it may open a connection.",
    )
    .flags(&[DPORT, PROTO, JSON, SVG, IPV4, IPV6, LIVE, RULES, NETWORKS]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let port = given.value(&DPORT)?.map(|Port(port)| port);
    let protocol = given.value(&PROTO)?.or(port.map(|_| Protocol::Tcp));
    let about = MatrixQuestion {
        protocol: protocol.map(Protocol::number),
        port,
    };
    let (rules, family, behind) = match given.file(&RULES) {
        Some(file) => {
            let (rules, family) = dump(&file)?;
            (rules, family, needed_networks(given)?)
        }
        None => {
            let mut plan = plan(given)?;
            let family = match given.has(&IPV6) {
                true => IpFamily::V6,
                false => IpFamily::V4,
            };
            let rules = std::mem::take(plan.rules.get_mut(family));
            (rules, family, prove::behind(&plan.policy))
        }
    };
    let matrix = prove::matrix(&rules, family, &behind, about).ok_or(CliError::MatrixTooLarge)?;
    Ok(print(&if given.has(&JSON) {
        matrix.json()
    } else if given.has(&SVG) {
        matrix.svg()
    } else {
        matrix.text()
    }))
}
