//! `camfw show matrix`: which zones and cameras reach which.

use crate::cli::dump::{LIVE, NETWORKS, RULES, dump, needed_networks, plan};
use crate::cli::{CliError, Command, ExitCode, Flag, Given, UsageError, complain, print};
use crate::family::{Families, IpFamily};
use crate::name::ServiceName;
use crate::nearest::did_you_mean;
use crate::netfilter::{Protocol, Ruleset};
use crate::page;
use crate::policy::{Policy, Service};
use crate::prove::{self, InterfaceNetworks, Matrix, MatrixEnds, MatrixQuestion, NamedMatrix};

const DPORT: Flag = Flag::valued(
    "dport",
    "N",
    "connections to this port, as they are opened, of TCP unless\n--proto is given; or to a service, by its name",
);
const PROTO: Flag = Flag::valued(
    "proto",
    "P",
    "connections of tcp, udp, icmp, icmpv6 or a number",
);
const EXACT: Flag = Flag::switch(
    "exact",
    "classes of addresses that are treated alike, in place of names",
);
const JSON: Flag = Flag::switch("json", "as JSON");
const SVG: Flag = Flag::switch("svg", "as a picture");
const IPV4: Flag = Flag::switch("ipv4", "by IPv4 alone").short('4');
const IPV6: Flag = Flag::switch("ipv6", "by IPv6 alone").short('6');

pub(in crate::cli) const COMMAND: Command = Command::new("show matrix", "who reaches whom", run)
    .about(
        "For each zone and listed camera, the services of which others it may reach, as
the rules let them through; of a dump, for each interface of --networks. Of a file
with `mode = \"same\"` it is shown by IPv4 and by IPv6.",
    )
    .flags(&[
        DPORT, PROTO, EXACT, JSON, SVG, IPV4, IPV6, LIVE, RULES, NETWORKS,
    ]);

/// Whose matrix it is.
enum Of {
    Policy(Box<Policy>),
    Dump(Vec<InterfaceNetworks>),
}

fn run(given: &Given) -> Result<ExitCode, CliError> {
    if given.has(&EXACT) && given.has(&SVG) {
        return Err(UsageError::Together("--exact has no picture; leave out --svg").into());
    }
    let protocol = given.value(&PROTO)?;
    let mut rules: Families<Ruleset> = Families::default();
    let (families, of) = match given.file(&RULES) {
        Some(file) => {
            let read = dump(&file)?;
            let behind = needed_networks(given)?;
            let networks = given.file(&NETWORKS).unwrap_or_default();
            let notes = read.strays(&networks, &behind)?;
            let notes = notes.into_iter().chain(read.taken_for());
            notes.for_each(|note| complain(&note));
            *rules.get_mut(read.family) = read.rules;
            (vec![read.family], Of::Dump(behind))
        }
        None => {
            let mut plan = plan(given)?;
            rules = std::mem::take(&mut plan.rules);
            let families = match (given.has(&IPV4), given.has(&IPV6)) {
                (false, false) => plan.policy.families().to_vec(),
                asked => {
                    let families = IpFamily::ALL.into_iter().zip([asked.0, asked.1]);
                    let families = families.filter(|(_, is_asked)| *is_asked);
                    families.map(|(family, _)| family).collect()
                }
            };
            (families, Of::Policy(Box::new(plan.policy)))
        }
    };
    let mut about = question(given, protocol, &of)?;
    about.names_family = families.len() > 1 || given.has(&IPV4) || given.has(&IPV6);
    let text = match given.has(&EXACT) {
        true => exact(given, &rules, &families, &of, &about),
        false => by_name(given, &rules, &families, &of, &about),
    };
    Ok(print(&text.ok_or(CliError::MatrixTooLarge)?))
}

fn by_name(
    given: &Given,
    rules: &Families<Ruleset>,
    families: &[IpFamily],
    of: &Of,
    about: &MatrixQuestion,
) -> Option<String> {
    let ends = match of {
        Of::Policy(policy) => MatrixEnds::Policy(policy),
        Of::Dump(behind) => MatrixEnds::Interfaces(behind),
    };
    let matrices = families
        .iter()
        .map(|family| prove::named_matrix(rules.get(*family), *family, ends, about));
    let matrices: Vec<NamedMatrix> = matrices.collect::<Option<_>>()?;
    Some(if given.has(&JSON) {
        matrices.first()?.json(matrices.get(1))
    } else if given.has(&SVG) {
        page::matrix_svg(&matrices)
    } else {
        let texts: Vec<String> = matrices.iter().map(NamedMatrix::text).collect();
        texts.join("\n")
    })
}

fn exact(
    given: &Given,
    rules: &Families<Ruleset>,
    families: &[IpFamily],
    of: &Of,
    about: &MatrixQuestion,
) -> Option<String> {
    let own;
    let behind = match of {
        Of::Policy(policy) => {
            own = prove::behind(policy);
            &own
        }
        Of::Dump(behind) => behind,
    };
    let matrices = families
        .iter()
        .map(|family| prove::matrix(rules.get(*family), *family, behind, about));
    let matrices: Vec<Matrix> = matrices.collect::<Option<_>>()?;
    Some(match given.has(&JSON) {
        true => matrices.first()?.json(matrices.get(1)),
        false => {
            let texts: Vec<String> = matrices.iter().map(Matrix::text).collect();
            texts.join("\n")
        }
    })
}

/// The connections that are asked about.
fn question(
    given: &Given,
    protocol: Option<Protocol>,
    of: &Of,
) -> Result<MatrixQuestion, CliError> {
    let (mut port, mut service) = (None, None);
    if let Some(written) = given.file(&DPORT) {
        let own = match of {
            Of::Policy(policy) => policy.services.as_slice(),
            Of::Dump(_) => &[],
        };
        port = written.parse::<u16>().ok();
        if port.is_none() {
            service = Some(service_named(&written, own)?);
        }
    }
    let protocol = protocol.or(port.map(|_| Protocol::Tcp));
    Ok(MatrixQuestion {
        protocol: protocol.map(Protocol::number),
        port,
        service,
        names_family: false,
    })
}

/// The service of this name: the file's, or the built-in one.
pub(in crate::cli) fn service_named(written: &str, own: &[Service]) -> Result<Service, UsageError> {
    let is_it = |service: &&Service| match &service.name {
        Some(name) => name.as_str() == written,
        None => false,
    };
    let built_in = || Service::well_known(&ServiceName::try_from(written).ok()?);
    let found = own.iter().find(is_it).cloned().or_else(built_in);
    found.ok_or_else(|| {
        let all = own.iter().cloned().chain(Service::catalogue());
        let names: Vec<String> = all.map(|service| service.to_string()).collect();
        let names = names.iter().map(String::as_str);
        let near = did_you_mean(written, names);
        UsageError::Value {
            given: format!("--{} {written}", DPORT.name),
            problem: near.map_or_else(
                || "is no port up to 65535 and no service; see camfw show services".to_owned(),
                |near| format!("no service is called so; {near}"),
            ),
        }
    })
}
