//! Resolves services: those written in place, and those named in the file or built in.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Resolver, as_list, named, span_in};
use crate::config::{self, Config, PortList, Ports, ServiceValue, Services, Spanned};
use crate::field::{IcmpType, PortRange};
use crate::name::ServiceName;
use crate::nearest::did_you_mean;
use crate::policy::Service;
use crate::registry::{protocol, service};
use crate::source::{Refusal, Refused};

impl Resolver<'_> {
    pub(super) fn services(
        &self,
        config: &Config,
    ) -> Result<BTreeMap<ServiceName, Service>, Refusal> {
        let services = Refused::each(&config.services, |(name, written)| {
            let name = named::<ServiceName>(name.get_ref(), name.span(), self.source)?;
            let service = self.service(Some(name.clone()), written.get_ref(), written.span())?;
            Ok((name, service))
        })?;
        Ok(services.into_iter().collect())
    }

    fn service(
        &self,
        name: Option<ServiceName>,
        written: &config::ServiceTable,
        span: Range<usize>,
    ) -> Result<Service, Refusal> {
        let ranges = |ports: &Option<Spanned<PortList>>| match ports {
            Some(ports) => self.port_ranges(ports),
            None => Ok(Vec::new()),
        };
        let mut tcp = ranges(&written.tcp)?;
        if written.helper && tcp.is_empty() {
            return Err(self.source.refuse(
                span,
                "the FTP helper follows a control connection; give the service its port, tcp = [21]",
            ));
        }
        if let Some(passive) = &written.passive {
            if written.helper {
                return Err(self.source.refuse(
                    passive.span(),
                    "with helper = true the data connections are let through one by one; remove the passive range or the helper",
                ));
            }
            tcp.push(self.port_range(passive.get_ref(), passive.span())?);
        }
        let passive = written.passive.as_ref().and(tcp.last().copied());
        let udp = ranges(&written.udp)?;
        let types = written.icmp.iter();
        let types = types.flat_map(|list| list.get_ref().0.iter().map(|it| (list.span(), it)));
        let icmp = types
            .map(|(whole, icmp)| {
                IcmpType::by_name(icmp.get_ref()).ok_or_else(|| {
                    self.source.refuse(
                        span_in(icmp, whole),
                        format_args!(
                            "{:?} is not an ICMP type known here; use one of {}",
                            icmp.get_ref(),
                            IcmpType::names()
                        ),
                    )
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let protocols = match &written.protocol {
            Some(list) => self.protocols(list)?,
            None => Vec::new(),
        };
        let source_ports = ranges(&written.source_port)?;
        if let Some(from) = &written.source_port
            && source_ports.is_empty()
        {
            return Err(self.source.refuse(
                from.span(),
                "the list is empty, which would mean no port; give a port, or remove the key for any",
            ));
        }
        if let Some(from) = &written.source_port
            && (tcp.is_empty() && udp.is_empty() || passive.is_some() || written.helper)
        {
            return Err(self.source.refuse(
                from.span(),
                "source-port is of the service's tcp and udp ports, without passive and helper; give it one of these ports",
            ));
        }
        if tcp.is_empty() && udp.is_empty() && icmp.is_empty() && protocols.is_empty() {
            return Err(self.source.refuse(
                span,
                "the service has no port and no ICMP type; give it tcp, udp, icmp or protocol",
            ));
        }
        Ok(Service {
            name,
            tcp,
            udp,
            icmp,
            protocols,
            source_ports,
            everything: false,
            passive,
            helper: written.helper,
        })
    }

    pub(super) fn port_ranges(
        &self,
        written: &Spanned<PortList>,
    ) -> Result<Vec<PortRange>, Refusal> {
        let ports = written.get_ref().0.iter();
        let ranges =
            ports.map(|ports| self.port_range(ports.get_ref(), span_in(ports, written.span())));
        ranges.collect()
    }

    fn protocols(&self, list: &Spanned<PortList>) -> Result<Vec<u8>, Refusal> {
        let each = list.get_ref().0.iter().map(|written| {
            let text = match written.get_ref() {
                Ports::Number(number) => number.to_string(),
                Ports::Text(text) => text.clone(),
            };
            protocol::number(&text).ok_or_else(|| {
                self.source.refuse(
                    span_in(written, list.span()),
                    format_args!(
                        "{text} is no protocol without a key of its own; use tcp, udp or icmp for these, a number up to 255, or one of {}",
                        protocol::names()
                    ),
                )
            })
        });
        each.collect()
    }

    fn port_range(&self, written: &Ports, span: Range<usize>) -> Result<PortRange, Refusal> {
        let (range, shown) = match written {
            Ports::Number(number) => (
                u16::try_from(*number)
                    .ok()
                    .and_then(|port| PortRange::new(port, port)),
                number.to_string(),
            ),
            Ports::Text(text) => (PortRange::parse(text, '-'), format!("{text:?}")),
        };
        range.ok_or_else(|| {
            self.source.refuse(
                span,
                format_args!(
                    "{shown} is not a port or a range of ports; {}",
                    instead_of_ports(written)
                ),
            )
        })
    }

    fn find_service(&self, name: &str, span: Range<usize>) -> Result<Service, Refusal> {
        if self.refused_names.contains(name) {
            return Err(Refusal::consequence());
        }
        let unknown = || {
            let own = self.services.keys().map(ToString::to_string);
            let mut known: Vec<String> = own.chain(service::names().map(String::from)).collect();
            known.sort();
            known.dedup();
            self.source.refuse(
                span,
                format_args!(
                    "no service is called {name:?}; {}",
                    instead_of_service(name, &known)
                ),
            )
        };
        let Ok(name) = ServiceName::try_from(name) else {
            return Err(unknown());
        };
        match self.services.get(&name) {
            Some(service) => Ok(service.clone()),
            None => Service::well_known(&name).ok_or_else(unknown),
        }
    }

    pub(super) fn services_of(&self, written: &Spanned<Services>) -> Result<Vec<Service>, Refusal> {
        let all = &written.get_ref().0;
        if all.is_empty() {
            return Err(self.source.refuse(
                written.span(),
                "the list names no service; name one or remove the line",
            ));
        }
        Refused::each(all, |one| {
            let span = span_in(one, written.span());
            match one.get_ref() {
                ServiceValue::Named(name) => self.find_service(name, span),
                ServiceValue::Inline(service) => self.service(None, service, span),
            }
        })
    }
}

/// What to write instead of what is no port: a list, if it is one in a text.
fn instead_of_ports(written: &Ports) -> String {
    if let Ports::Text(text) = written
        && let Some(known) = service::find(text)
        && let Some((port, _)) = known.tcp.first().or(known.udp.first())
    {
        return format!("write the number, {port}");
    }
    if let Ports::Text(text) = written
        && text.contains(',')
    {
        let is_port = |part: &str| part.parse::<u16>().is_ok();
        let parts = text.split(',').map(str::trim);
        let parts = parts.map(|part| match is_port(part) {
            true => part.to_owned(),
            false => format!("{part:?}"),
        });
        return format!("write a list: [{}]", parts.collect::<Vec<_>>().join(", "));
    }
    "use 1 to 65535, a range as \"50000-50100\"".into()
}

/// What to write instead of a name that no service has.
fn instead_of_service(name: &str, known: &[String]) -> String {
    if let Some((protocol, port)) = meant_port(name, known) {
        return format!("write ports as service = {{ {protocol} = [{port}] }}");
    }
    if name.starts_with("icmp") {
        return "write \"ping\", or service = { icmp = [\"echo-request\"] } for one type".into();
    }
    if protocol::number(name).is_some() {
        return format!("write service = {{ protocol = {name:?} }}");
    }
    if name == "any" {
        return format!("write {:?} for every protocol", service::ALL);
    }
    as_list(name)
        .or_else(|| did_you_mean(name, known.iter().map(String::as_str)))
        .unwrap_or_else(|| {
            format!(
                "define it in [services], or use one of {}",
                known.join(", ")
            )
        })
}

/// The port that a text such as `tcp/8080` or `http8080` says, and its protocol. The digits of
/// other words are of their names: `icmpv6`.
fn meant_port(text: &str, known: &[String]) -> Option<(&'static str, u16)> {
    let (mut protocol, mut port) = ("tcp", None);
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        let letters = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        match letters {
            "udp" => protocol = "udp",
            "" | "tcp" | "port" => {}
            _ if known.iter().any(|name| name == letters) => {}
            _ => return None,
        }
        let number = &word[letters.len()..];
        if !number.is_empty() && port.replace(number.parse().ok()?).is_some() {
            return None;
        }
    }
    Some((protocol, port?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_told_from_the_digits_of_a_name() {
        let known = ["http".to_owned()];
        for (text, port) in [
            ("554", Some(("tcp", 554))),
            ("udp/5004", Some(("udp", 5004))),
            ("443/tcp", Some(("tcp", 443))),
            ("tcp port 80", Some(("tcp", 80))),
            ("http8080", Some(("tcp", 8080))),
            ("icmpv6", None),
            ("ipv6", None),
            ("tcp", None),
            ("80,443", None),
            ("tcp70000", None),
        ] {
            assert_eq!(meant_port(text, &known), port, "{text}");
        }
    }

    #[test]
    fn every_well_known_service_allows_something() {
        for name in service::names() {
            let entry = service::find(name)
                .map(|s| [s.tcp.len(), s.udp.len(), s.icmp.len(), s.protocols.len()]);
            let resolved = ServiceName::try_from(name)
                .ok()
                .as_ref()
                .and_then(Service::well_known);
            let resolved =
                resolved.map(|s| [s.tcp.len(), s.udp.len(), s.icmp.len(), s.protocols.len()]);
            assert_eq!(resolved, entry, "{name}");
            assert_ne!(resolved, Some([0; 4]), "{name}");
        }
    }
}
