//! Resolves guarantees: those of zones' roles, and the file's own. All are proven of every
//! ruleset before it is loaded.

use super::{A_CAMERA, Resolver, each_name, each_pair};
use crate::config::{self, Config, Services, Spanned, Strings};
use crate::policy::{
    self, Addresses, Endpoint, Exception, Flow, Guarantee, GuaranteeKind, Origin, Service,
    ZoneIndex,
};
use crate::source::{Refusal, Refused};

/// Never or always, between whom, and of which services.
pub(super) type Promised<'w> = (
    GuaranteeKind,
    &'w Spanned<config::GuaranteedFlow>,
    Option<Vec<Service>>,
);

pub(super) const SAME_ENDS: &str =
    "from and to are the same, whose hosts reach each other without the router; name two";

impl Resolver<'_> {
    pub(super) fn exceptions(&self, config: &Config) -> Result<Vec<Exception>, Refusal> {
        let exceptions = Refused::each(&config.exceptions, |written| {
            let pairs = each_pair(&written.from, &written.to, self.source)?;
            Refused::each(pairs, |(from, to)| {
                self.exception(&from, &to, &written.service)
            })
        })?;
        Ok(exceptions.into_iter().flatten().collect())
    }

    fn exception(
        &self,
        written: &Spanned<String>,
        to: &Spanned<String>,
        services: &Spanned<Services>,
    ) -> Result<Exception, Refusal> {
        let (from, sources) = match self.find_camera(written.get_ref()) {
            Some(camera) => (camera.zone, camera.as_end()),
            None => (self.find_zone(written, &[A_CAMERA])?, Addresses::Any),
        };
        let to = self.find_zone(to, &[])?;
        if !policy::never(self.zones[from.0].role, self.zones[to.0].role) {
            return Err(self.source.refuse(
                written.span(),
                format_args!(
                    "no role promises that {} never reaches {}, so there is nothing to lift; remove the exception",
                    self.zones[from.0].name, self.zones[to.0].name
                ),
            ));
        }
        let services = self.services_of(services)?;
        Ok(Exception {
            from,
            sources,
            to,
            services,
        })
    }

    /// The guarantees of roles, followed by the file's own and those of `[[deny]]`.
    pub(super) fn guarantees(&self, config: &Config) -> Result<Vec<Guarantee>, Refusal> {
        let mut refused = Refused::default();
        let exceptions = refused.note(self.exceptions(config)).unwrap_or_default();
        let mut promises = self.of_roles(&exceptions);
        let own = Refused::each(&config.guarantees, |written| self.guarantee(written));
        promises.extend(refused.note(own).into_iter().flatten().flatten());
        let denials = self.denials(config).unwrap_or_default();
        let looped = self.looped(config);
        let denied = denials.iter();
        promises.extend(denied.flat_map(|denial| self.of_denial(denial, &looped)));
        refused.or(promises)
    }

    fn of_roles(&self, exceptions: &[Exception]) -> Vec<Guarantee> {
        let mut promises = Vec::new();
        for (from, zone) in self.zones.iter().enumerate() {
            for (to, other) in self.zones.iter().enumerate() {
                if !policy::never(zone.role, other.role) {
                    continue;
                }
                let (from, to) = (ZoneIndex(from), ZoneIndex(to));
                let lifted = exceptions
                    .iter()
                    .filter(|exception| exception.from == from && exception.to == to);
                promises.push(Guarantee {
                    kind: GuaranteeKind::Never,
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
                    is_denial: false,
                    origin: zone.origin.clone(),
                });
            }
        }
        promises
    }

    fn guarantee(
        &self,
        written: &Spanned<config::GuaranteeEntry>,
    ) -> Result<Vec<Guarantee>, Refusal> {
        let (kind, promise, services) = self.promised(written)?;
        let config::GuaranteedFlow { from, to, .. } = promise.get_ref();
        let mut promises = Vec::new();
        for (from, sources) in self.ends(from)? {
            for (to, destinations) in self.ends(to)? {
                if from == to {
                    continue;
                }
                promises.push(Guarantee {
                    kind,
                    flow: Flow { from, to },
                    sources: sources.clone(),
                    destinations,
                    services: services.clone(),
                    except: Vec::new(),
                    is_denial: false,
                    origin: Origin::new(self.source, written.span().start),
                });
            }
        }
        if promises.is_empty() {
            return Err(self.source.refuse(promise.span(), SAME_ENDS));
        }
        Ok(promises)
    }

    /// What is promised: never or always, between whom, and of which services.
    pub(super) fn promised<'w>(
        &self,
        written: &'w Spanned<config::GuaranteeEntry>,
    ) -> Result<Promised<'w>, Refusal> {
        let config::GuaranteeEntry { never, always } = written.get_ref();
        let (kind, promise) = match (never, always) {
            (Some(promise), None) => (GuaranteeKind::Never, promise),
            (None, Some(promise)) => (GuaranteeKind::Always, promise),
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a guarantee says one thing; give it never or always",
                ));
            }
        };
        let services = promise.get_ref().service.as_ref();
        let services = services
            .map(|service| self.services_of(service))
            .transpose()?;
        if kind == GuaranteeKind::Always && services.is_none() {
            return Err(self.source.refuse(
                promise.span(),
                "not everything can always get through; name the service",
            ));
        }
        Ok((kind, promise, services))
    }

    /// The ends that a guarantee's words stand for, and the addresses there.
    fn ends(&self, written: &Spanned<Strings>) -> Result<Vec<(Endpoint, Addresses)>, Refusal> {
        let mut ends = Vec::new();
        for name in each_name(written, self.source)? {
            ends.extend(self.ends_of(&name)?);
        }
        Ok(ends)
    }

    fn ends_of(&self, written: &Spanned<String>) -> Result<Vec<(Endpoint, Addresses)>, Refusal> {
        if let Some(camera) = self.find_camera(written.get_ref()) {
            return Ok(vec![(Endpoint::Zone(camera.zone), camera.as_end())]);
        }
        let zones = match written.get_ref().as_str() {
            "router" => return Ok(vec![(Endpoint::Router, Addresses::Any)]),
            "any" => (0..self.zones.len()).map(ZoneIndex).collect(),
            _ => vec![self.find_zone(written, &[A_CAMERA, "router", "any"])?],
        };
        let ends = zones.into_iter().map(Endpoint::Zone);
        Ok(ends.map(|end| (end, Addresses::Any)).collect())
    }
}
