//! Cameras and other hosts on the page: what each did, and what it tried.

use super::report::{ITEMS, ReportPage, TRIED, cut};
use super::when::{ago, counted, grouped};
use crate::observe::presence::{CameraPresence, CameraState, in_words};
use crate::observe::wanted::{BlockedHost, Tried};

impl ReportPage<'_> {
    pub(super) fn cameras(&mut self) {
        let cameras: Vec<(&CameraPresence, &str)> = self
            .facts
            .presence
            .zones
            .iter()
            .flat_map(|zone| zone.cameras.iter().map(|it| (it, zone.name.as_str())))
            .collect();
        if cameras.is_empty() {
            return;
        }
        self.page.raw("<h2>Cameras</h2><ul class=\"cams\">");
        self.list(&cameras, ITEMS, |report, (camera, zone)| {
            report.camera(camera, zone);
        });
        self.page.raw("</ul>");
    }

    fn camera(&mut self, camera: &CameraPresence, zone: &str) {
        let facts = self.facts;
        let class = format!("c {}", self.class(camera));
        self.page.open("li", &[("class", &class)]);
        let seen = camera.last_seen.map(|then| ago(then, facts.now));
        let is = match (camera.state, seen) {
            (CameraState::Seen, Some(ago)) => format!("seen {ago}"),
            (CameraState::Seen, None) => "seen".to_owned(),
            (CameraState::Silent, Some(ago)) => format!("silent, last seen {ago}"),
            (CameraState::Silent, None) => "silent".to_owned(),
            (CameraState::NeverSeen, _) => "not seen yet".to_owned(),
            (CameraState::Unknown, _) => "not known".to_owned(),
        };
        self.page.element("span", &[("class", &"is")], &is);
        self.page.element("h3", &[], &camera.name);
        let hardware = camera.mac.as_deref().or(camera.hardware.as_deref());
        let mut about = vec![camera.address.to_string()];
        about.extend(camera.addresses6.iter().map(ToString::to_string));
        about.extend(hardware.map(str::to_owned));
        about.push(zone.to_owned());
        self.dim(&about.join(" \u{b7} "));
        for problem in facts.presence.problems_of(&camera.name) {
            self.page
                .element("p", &[("class", &"bad")], &cut(&problem.text));
        }
        let own = format!("{} ", camera.name);
        let lines = facts.accounting.allow.iter();
        let did: Vec<(&str, u64)> = lines
            .filter_map(|line| Some((line.what.strip_prefix(&own)?, line.new_connections)))
            .collect();
        self.page.raw("<h4>did</h4><ul class=\"rows\">");
        if let Some(packets) = camera.packets {
            self.counted("sent", &counted(packets, "packet"));
        }
        self.list(&did, TRIED, |report, (what, count)| {
            report.counted(what, &counted(*count, "connection"));
        });
        self.page.raw("</ul>");
        let tried = facts
            .blocked
            .iter()
            .filter(|host| host.camera.as_deref() == Some(camera.name.as_str()));
        let tried: Vec<&Tried> = tried.flat_map(|host| &host.tried).collect();
        self.all_tried(&tried);
        self.page.raw("</li>");
    }

    fn all_tried(&mut self, tried: &[&Tried]) {
        if !tried.is_empty() {
            self.page
                .raw("<h4>tried, and may not</h4><ul class=\"rows\">");
            self.list(tried, TRIED, |report, tried| report.tried(tried));
            self.page.raw("</ul>");
        }
    }

    pub(super) fn counted(&mut self, what: &str, count: &str) {
        self.page.raw("<li>");
        self.page.element("span", &[], &cut(what));
        self.page.element("span", &[("class", &"n")], count);
        self.page.raw("</li>");
    }

    fn tried(&mut self, tried: &Tried) {
        let to = tried.to.to_string();
        let to = tried
            .name
            .as_ref()
            .map_or(to.clone(), |name| match name.as_str() {
                "router" => format!("router {to}"),
                name => format!("{to} ({name})"),
            });
        let reason = match tried.why() {
            "not allowed" => String::new(),
            reason => format!(", {reason}"),
        };
        let count = grouped(tried.count);
        let last = ago(tried.last, self.facts.now);
        let what = format!("{to} {}{reason}", tried.service);
        self.counted(&what, &format!("{count}\u{d7}, {last}"));
    }

    /// What hosts tried that are no listed cameras, and hosts that nobody listed.
    pub(super) fn others(&mut self) {
        let presence = self.facts.presence;
        let hosts = self.facts.blocked.iter();
        let mut hosts: Vec<&BlockedHost> = hosts.filter(|host| host.camera.is_none()).collect();
        let zones = presence.zones.iter().filter(|zone| zone.is_for_cameras());
        let unlisted: Vec<_> = zones
            .flat_map(|zone| zone.others.iter().map(|it| (zone.name.as_str(), it)))
            .collect();
        if hosts.is_empty() && unlisted.is_empty() {
            return;
        }
        self.page.raw("<h2>Other hosts</h2><ul class=\"cams\">");
        self.list(&unlisted, ITEMS, |report, (zone, host)| {
            let addresses = in_words(&host.addresses, host.more_addresses);
            report.page.raw("<li class=\"c silent\">");
            report
                .page
                .element("span", &[("class", &"is")], "not listed");
            let name = host.hardware.as_deref().unwrap_or(&addresses);
            report.page.element("h3", &[], &cut(name));
            let mut about = vec![addresses.clone(), (*zone).to_owned()];
            about.extend(
                host.last_seen
                    .map(|then| format!("seen {}", ago(then, report.facts.now))),
            );
            if let Some(own) = &host.calls_itself {
                about.push(format!("calls itself {own}"));
            }
            report.dim(&about.join(" \u{b7} "));
            // What it tried stands with it, and not once more.
            let (own, others) = std::mem::take(&mut hosts).into_iter().partition(|it| {
                let is_device = it.hardware.is_some() && it.hardware == host.hardware;
                let is_here = it.zone.as_deref() == Some(*zone);
                is_here && (is_device || host.addresses.contains(&it.address))
            });
            hosts = others;
            let own: Vec<&BlockedHost> = own;
            let tried: Vec<&Tried> = own.iter().flat_map(|it| &it.tried).collect();
            report.all_tried(&tried);
            report.page.raw("</li>");
        });
        self.list(&hosts, ITEMS, |report, host| {
            report.page.raw("<li class=\"c\">");
            let addresses = in_words(&host.addresses, host.more_addresses);
            let many = host.hardware.as_ref().filter(|_| host.addresses.len() > 1);
            let (name, hardware) = match (&host.zone, many) {
                (None, _) => ("router", &host.hardware),
                (Some(_), Some(hardware)) => (hardware.as_str(), &None),
                (Some(_), None) => (addresses.as_str(), &host.hardware),
            };
            report.page.element("h3", &[], name);
            let addresses = many.is_some().then(|| addresses.clone());
            let about = [&addresses, hardware, &host.zone].into_iter().flatten();
            let mut about: Vec<String> = about.cloned().collect();
            let zones = presence.zones.iter().flat_map(|zone| &zone.cameras);
            let of = zones.filter(|camera| host.addresses.iter().any(|own| camera.has(own)));
            about.extend(of.map(|camera| format!("has the address of camera {}", camera.name)));
            let owner = host.hardware_of.iter();
            about.extend(owner.map(|it| format!("has the hardware address of camera {it}")));
            report.dim(&about.join(" \u{b7} "));
            report.all_tried(&host.tried.iter().collect::<Vec<_>>());
            report.page.raw("</li>");
        });
        self.page.raw("</ul>");
    }
}
