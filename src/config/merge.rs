//! Merges several files into one configuration. Named tables, and tables that can occur
//! only once, must be defined in a single file.

use std::collections::BTreeMap;

use super::{Config, Spanned};
use crate::source::{Refusal, Source};

impl Config {
    /// Adds the contents of another file.
    ///
    /// # Errors
    /// The second definition of a name, with the position of the first.
    pub(super) fn merge(&mut self, other: Config, source: &Source) -> Result<(), Refusal> {
        // Each file was parsed as the only version there is.
        self.version = self.version.take().or(other.version);
        named("zone", &mut self.zones, other.zones, source)?;
        named("service", &mut self.services, other.services, source)?;
        named("setting", &mut self.sysctls, other.sysctls, source)?;
        once("[router]", &mut self.router, other.router, source)?;
        once("[ipv6]", &mut self.ipv6, other.ipv6, source)?;
        once("[log]", &mut self.log, other.log, source)?;
        once("[page]", &mut self.page, other.page, source)?;
        once("[watch]", &mut self.watch, other.watch, source)?;
        once("[names]", &mut self.names, other.names, source)?;
        once("[mail]", &mut self.mail, other.mail, source)?;
        self.allow.extend(other.allow);
        self.deny.extend(other.deny);
        self.exceptions.extend(other.exceptions);
        self.guarantees.extend(other.guarantees);
        self.masquerade.extend(other.masquerade);
        self.snat.extend(other.snat);
        self.forwards.extend(other.forwards);
        self.proxy.extend(other.proxy);
        self.redirects.extend(other.redirects);
        self.cameras.extend(other.cameras);
        self.routes.extend(other.routes);
        self.marks.extend(other.marks);
        Ok(())
    }
}

fn named<V>(
    what: &str,
    all: &mut BTreeMap<Spanned<String>, V>,
    more: BTreeMap<Spanned<String>, V>,
    source: &Source,
) -> Result<(), Refusal> {
    for (name, value) in more {
        if let Some((first, _)) = all.get_key_value(&name) {
            let first = source.pointer(first.span().start);
            return Err(source.refuse(
                name.span(),
                format_args!(
                    "{what} {:?} is defined at {first} already; keep one of the two",
                    name.get_ref()
                ),
            ));
        }
        all.insert(name, value);
    }
    Ok(())
}

fn once<T>(
    what: &str,
    one: &mut Option<Spanned<T>>,
    more: Option<Spanned<T>>,
    source: &Source,
) -> Result<(), Refusal> {
    match (&one, &more) {
        (Some(first), Some(second)) => {
            let first = source.pointer(first.span().start);
            Err(source.refuse(
                second.span(),
                format_args!("{what} is written at {first} already; write its keys there"),
            ))
        }
        (None, _) => {
            *one = more;
            Ok(())
        }
        (Some(_), None) => Ok(()),
    }
}
