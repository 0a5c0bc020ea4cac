//! What is promised and proven of every ruleset before it is loaded: by the
//! roles of zones, and by the file's own guarantees.

use toml::Spanned;

use super::guarantee::{self, Exception};
use super::resolve::Resolver;
use super::{Addresses, Endpoint, Flow, Origin, Service, ZoneIndex};
use crate::config::{self, Config};
use crate::source::Refusal;

/// Something that never, or always, gets through.
#[derive(Debug, Clone)]
pub struct Promise {
    /// Which of the two.
    pub vow: Vow,
    /// Who opens a connection to whom.
    pub flow: Flow,
    /// From which of the zone's addresses.
    pub sources: Addresses,
    /// To which addresses there.
    pub destinations: Addresses,
    /// For what; None for anything.
    pub services: Option<Vec<Service>>,
    /// But for these of these addresses.
    pub except: Vec<(Addresses, Vec<Service>)>,
    /// Where the file says so: the guarantee, or the zone whose role brings it.
    pub origin: Origin,
}

/// Whether what is promised never or always gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vow {
    /// No packet does.
    Never,
    /// Each packet does.
    Always,
}

impl Resolver<'_> {
    /// What roles promise, and then the file's own guarantees.
    pub(super) fn promises(&self, config: &Config) -> Result<Vec<Promise>, Refusal> {
        let mut promises = self.of_roles(&self.exceptions(config)?);
        for written in &config.guarantees {
            promises.extend(self.guarantee(written)?);
        }
        Ok(promises)
    }

    fn of_roles(&self, exceptions: &[Exception]) -> Vec<Promise> {
        let mut promises = Vec::new();
        for (from, zone) in self.zones.iter().enumerate() {
            for (to, other) in self.zones.iter().enumerate() {
                if !guarantee::never(zone.role, other.role) {
                    continue;
                }
                let (from, to) = (ZoneIndex(from), ZoneIndex(to));
                let lifted = exceptions
                    .iter()
                    .filter(|exception| exception.from == from && exception.to == to);
                promises.push(Promise {
                    vow: Vow::Never,
                    flow: Flow {
                        from: Endpoint::Zone(from),
                        to: Endpoint::Zone(to),
                    },
                    sources: Addresses::Any,
                    destinations: Addresses::Any,
                    services: None,
                    except: lifted
                        .map(|lifted| (lifted.sources.clone(), lifted.services.clone()))
                        .collect(),
                    origin: zone.origin.clone(),
                });
            }
        }
        promises
    }

    fn guarantee(&self, written: &Spanned<config::Guarantee>) -> Result<Vec<Promise>, Refusal> {
        let config::Guarantee { never, always } = written.get_ref();
        let (vow, promise) = match (never, always) {
            (Some(promise), None) => (Vow::Never, promise),
            (None, Some(promise)) => (Vow::Always, promise),
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a guarantee says one thing; give it never or always",
                ));
            }
        };
        let config::Promise { from, to, service } = promise.get_ref();
        let services = service
            .as_ref()
            .map(|service| self.services_of(service))
            .transpose()?;
        if vow == Vow::Always && services.is_none() {
            return Err(self.source.refuse(
                promise.span(),
                "not everything there is can always get through; say which service",
            ));
        }
        let mut promises = Vec::new();
        for (from, sources) in self.ends(from)? {
            for (to, destinations) in self.ends(to)? {
                if from == to {
                    continue;
                }
                promises.push(Promise {
                    vow,
                    flow: Flow { from, to },
                    sources: sources.clone(),
                    destinations,
                    services: services.clone(),
                    except: Vec::new(),
                    origin: Origin::new(self.source, written.span().start),
                });
            }
        }
        if promises.is_empty() {
            return Err(self.source.refuse(
                promise.span(),
                "from and to are the same, whose hosts reach each other without the router; name two",
            ));
        }
        Ok(promises)
    }

    /// The ends that a guarantee's word means, and which of their addresses.
    fn ends(&self, written: &Spanned<String>) -> Result<Vec<(Endpoint, Addresses)>, Refusal> {
        if let Some(camera) = self.find_camera(written.get_ref()) {
            let address = Addresses::one(camera.address);
            return Ok(vec![(Endpoint::Zone(camera.zone), address)]);
        }
        let zones = match written.get_ref().as_str() {
            "router" => return Ok(vec![(Endpoint::Router, Addresses::Any)]),
            "any" => (0..self.zones.len()).map(ZoneIndex).collect(),
            _ => vec![self.find_zone(written, ", a camera, router, any")?],
        };
        let ends = zones.into_iter().map(Endpoint::Zone);
        Ok(ends.map(|end| (end, Addresses::Any)).collect())
    }
}
