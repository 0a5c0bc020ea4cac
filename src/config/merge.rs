//! Merges several files into one configuration.
//!
//! What is in two of them was moved into the first of these, key by key (`document`), so that
//! nothing here is there twice.

use super::Config;

impl Config {
    /// Adds the contents of another file.
    pub(super) fn merge(&mut self, other: Config) {
        // Each file was parsed as the only version there is.
        self.version = self.version.take().or(other.version);
        self.zones.extend(other.zones);
        self.services.extend(other.services);
        self.sysctls.extend(other.sysctls);
        self.router = self.router.take().or(other.router);
        self.ipv6 = self.ipv6.take().or(other.ipv6);
        self.log = self.log.take().or(other.log);
        self.page = self.page.take().or(other.page);
        self.watch = self.watch.take().or(other.watch);
        self.names = self.names.take().or(other.names);
        self.mail = self.mail.take().or(other.mail);
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
    }
}
