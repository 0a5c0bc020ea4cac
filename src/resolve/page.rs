//! Resolves the page that the router shows.

use super::Resolver;
use crate::config::{PageTable, Role, Spanned};
use crate::policy::{Allow, Endpoint, Page};
use crate::registry::port;
use crate::source::{Refusal, Refused};

impl Resolver<'_> {
    /// Refuses each line that lets who must not see the page reach it.
    pub(super) fn page(
        &self,
        written: Option<&Spanned<PageTable>>,
        allows: &[Allow],
    ) -> Result<Option<Page>, Refusal> {
        let Some(page) = written else {
            return Ok(None);
        };
        let mut refused = Refused::default();
        let mut shown = false;
        for allow in allows {
            let is_http = |range: &crate::field::PortRange| {
                range.contains(crate::field::PortRange::port(port::HTTP))
            };
            let mut services = allow.services.iter();
            if !services.any(|service| service.tcp.iter().any(is_http)) {
                continue;
            }
            for flow in &allow.flows {
                let (Endpoint::Zone(from), Endpoint::Router) = (flow.from, flow.to) else {
                    continue;
                };
                let zone = &self.zones[from.0];
                if zone.role == Role::Private {
                    shown = true;
                    continue;
                }
                refused.note::<()>(Err(self.source.refuse(
                    page.span(),
                    format_args!(
                        "{} lets {} reach the router's tcp port {}, where the page is shown; let only zones of role private reach it, or remove [page]",
                        allow.origin, zone.name, port::HTTP
                    ),
                )));
            }
        }
        refused.or(())?;
        if !shown {
            return Err(self.source.refuse(
                page.span(),
                "no zone of role private reaches the router's http, so that nobody would see the page; add [[allow]] from it, to = \"router\", service = \"http\"",
            ));
        }
        Ok(Some(Page {
            policy: page.get_ref().policy.unwrap_or(true),
        }))
    }
}
