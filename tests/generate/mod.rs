//! Configurations out of bytes: any bytes give one, most of them good ones.
//!
//! Owns what they may look like. Used by the property tests, the fuzz targets and
//! the example `generate`, which the namespace tests load into kernels.

use std::fmt::Write;

/// Choices to be made, one byte or two each; when there are no more, the first
/// choice is made always, so that fewer bytes give less.
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// From bytes.
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { bytes }
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let (number, rest) = match self.bytes {
            [first, second, rest @ ..] if bound > 256 => {
                (usize::from(*first) << 8 | usize::from(*second), rest)
            }
            [first, rest @ ..] => (usize::from(*first), rest),
            [] => (0, self.bytes),
        };
        self.bytes = rest;
        number % bound
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// A string of the file in whose place another one is to stand.
pub struct Replacement<'a> {
    /// Which of the file's strings, counted from 0.
    pub place: usize,
    /// What stands there.
    pub text: &'a str,
}

/// A zone while lines are made for it.
#[derive(Clone)]
struct Zone {
    name: &'static str,
    role: &'static str,
    number: usize,
    /// Whether its address is leased, or another program's.
    dhcp: bool,
}

impl Zone {
    fn host(&self, number: usize) -> String {
        format!("10.{}.0.{number}", self.number)
    }

    fn is_external(&self) -> bool {
        self.role == "external"
    }
}

struct Writer<'a, 'r> {
    choices: Choices<'a>,
    text: String,
    strings: usize,
    replacement: Option<Replacement<'r>>,
    zones: Vec<Zone>,
    cameras: Vec<(String, usize)>,
    same: bool,
    listed: bool,
}

/// The interfaces that the zones are on.
pub const INTERFACES: [&str; 6] = ["eth0", "eth1", "enp3s0f1np1", "br-cam", "a@b_c.20", "eth5"];

const NAMES: [&str; 6] = [
    "external",
    "camera",
    "private",
    "guests",
    "a-b-c-d-e-f1",
    "zzzzzzzzzzzz",
];

/// What a configuration may hold besides.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Addresses by DHCP, which take a server to apply.
    pub dhcp: bool,
}

/// The configuration that some bytes stand for.
pub fn config(bytes: &[u8], options: Options, replacement: Option<Replacement<'_>>) -> String {
    let mut writer = Writer {
        choices: Choices::new(bytes),
        text: String::new(),
        strings: 0,
        replacement,
        zones: Vec::new(),
        cameras: Vec::new(),
        same: false,
        listed: false,
    };
    writer.all(options);
    writer.text
}

impl Writer<'_, '_> {
    fn all(&mut self, options: Options) {
        self.same = self.choices.once_in(2);
        self.listed = self.choices.once_in(2);
        self.zones(options);
        self.cameras();
        self.services();
        let lines = self.choices.below(10);
        for _ in 0..lines {
            self.allow();
        }
        self.rewrites();
        self.redirects();
        if self.choices.once_in(3) {
            let lines = 1 + self.choices.below(3);
            for _ in 0..lines {
                self.deny();
            }
        }
        self.routes();
        self.rest();
    }

    /// A string as TOML, or what is to stand in its place.
    fn string(&mut self, text: &str) -> String {
        let place = self.strings;
        self.strings += 1;
        let text = match &self.replacement {
            Some(other) if other.place == place => other.text,
            _ => text,
        };
        let mut quoted = String::from("\"");
        for c in text.chars() {
            if c == '"' || c == '\\' || c.is_control() {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            } else {
                quoted.push(c);
            }
        }
        quoted.push('"');
        quoted
    }

    fn strings<S: AsRef<str>>(&mut self, texts: &[S]) -> String {
        match texts {
            [one] => self.string(one.as_ref()),
            _ => {
                let all: Vec<String> = texts
                    .iter()
                    .map(|text| self.string(text.as_ref()))
                    .collect();
                format!("[{}]", all.join(", "))
            }
        }
    }

    fn key(&mut self, key: &str, text: &str) {
        let value = self.string(text);
        self.line(&format!("{key} = {value}"));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn zones(&mut self, options: Options) {
        let count = 2 + self.choices.below(4);
        for (number, name) in NAMES.iter().take(count).enumerate() {
            let role = match number {
                0 => "external",
                1 => "camera",
                2 => "private",
                _ => self
                    .choices
                    .one_of(&["private", "camera", "private", "external"]),
            };
            let external = role == "external";
            let dhcp = options.dhcp && external && self.choices.once_in(4);
            let known_only = role != "external" && self.choices.once_in(4);
            let quoted = self.string(name);
            self.line(&format!("[zones.{quoted}]"));
            self.key("interface", INTERFACES[number]);
            let given = dhcp && self.choices.once_in(2);
            let mut own = match dhcp {
                true if given => vec!["given".to_owned()],
                true => vec!["dhcp".to_owned()],
                false => vec![format!("10.{number}.0.1/24")],
            };
            if !dhcp && self.choices.once_in(4) {
                own.push(format!("192.168.{number}.1/28"));
            }
            if self.same && !self.choices.once_in(4) {
                let slaac = options.dhcp && number == 0 && self.choices.once_in(3);
                own.push(match slaac {
                    true => "auto".to_owned(),
                    false => format!("fd00:{number}::1/64"),
                });
            }
            let own = self.strings(&own);
            self.line(&format!("address = {own}"));
            self.key("role", role);
            if number == 0 && !dhcp && self.choices.once_in(2) {
                self.key("gateway", "10.0.0.254");
            }
            if number == 0 && given && self.choices.once_in(2) {
                let gateway = self.choices.one_of(&["device", "given"]);
                self.key("gateway", gateway);
            }
            if known_only {
                self.line("known-only = true");
            }
            if !external && self.choices.once_in(4) {
                let how = self.choices.one_of(&["drop", "reject"]);
                self.key("on-deny", how);
            }
            if self.choices.once_in(8) {
                self.line("bound = { connections = 8, zone-connections = 100 }");
            }
            if external && self.choices.once_in(3) {
                let count = 1 + self.choices.below(3);
                let networks = ["10.77.0.0/16", "203.0.113.7", "0.0.0.0/0"];
                let list = self.strings(&networks[..count]);
                self.line(&format!("accept-bogons = {list}"));
            }
            if self.choices.once_in(8) {
                self.line("mtu = 1400");
            }
            self.zones.push(Zone {
                name,
                role,
                number,
                dhcp,
            });
        }
    }

    /// Cameras in the zones that are not external, with lines of their own.
    fn cameras(&mut self) {
        let most = self.choices.one_of(&[0, 1, 3, 6, 24]);
        for number in 0..most {
            let inside: Vec<usize> = (0..self.zones.len())
                .filter(|zone| !self.zones[*zone].is_external())
                .collect();
            let place = self.choices.one_of(&inside);
            let zone = self.zones[place].clone();
            let name = format!("c{number}");
            self.line("[[cameras]]");
            self.key("name", &name);
            self.key("address", &zone.host(10 + number * 9));
            if self.choices.once_in(2) {
                self.key("mac", &format!("02:00:00:00:aa:{number:02X}"));
            }
            if self.choices.once_in(2) {
                let count = 1 + self.choices.below(3);
                let mut lines = Vec::new();
                for _ in 0..count {
                    let to = self.string("router");
                    let service = self.service(true);
                    let more = self.limits();
                    let mut keys = vec![format!("to = {to}"), format!("service = {service}")];
                    keys.extend(more);
                    lines.push(format!("{{ {} }}", keys.join(", ")));
                }
                self.line(&format!("allow = [{}]", lines.join(", ")));
            }
            self.cameras.push((name, place));
        }
    }

    fn services(&mut self) {
        for name in ["mine", "ftp"] {
            if self.choices.once_in(3) {
                let quoted = self.string(name);
                self.line(&format!("[services.{quoted}]"));
                match self.choices.below(5) {
                    0 => self.line("tcp = [21]\nhelper = true"),
                    3 => {
                        let protocols = self.strings(&["esp", "ah", "ipv6"]);
                        self.line(&format!("protocol = {protocols}\nudp = 500"));
                        self.line("source-port = [500, 4500]");
                    }
                    4 => {
                        self.line("tcp = [7, 4711]\nudp = \"4000-4100\"");
                        self.key("source-port", "1024-65535");
                    }
                    1 => {
                        self.line("tcp = [21, 990]");
                        self.key("passive", "50000-50100");
                    }
                    _ => {
                        let icmp = self.strings(&["echo-request", "time-exceeded"]);
                        self.line(&format!("udp = [123, 5004]\nicmp = {icmp}"));
                    }
                }
            } else if name == "mine" {
                self.line("[services.mine]\ntcp = [4711]");
            }
        }
    }

    /// A service as it may be written in a line.
    fn service(&mut self, to_router: bool) -> String {
        const KNOWN: [&str; 12] = [
            "ping",
            "http",
            "ssh",
            "dns",
            "ftp",
            "mine",
            "rtsp",
            "traceroute",
            "syslog",
            "dhcp",
            "gre",
            "ipsec",
        ];
        match self.choices.below(8) {
            5 if !to_router => self.string("all"),
            5 | 6 => {
                let protocol = self.choices.one_of(&["sctp", "igmp", "200"]);
                let protocol = self.string(protocol);
                format!("{{ protocol = [{protocol}, 253] }}")
            }
            7 => {
                let ports = self.ports();
                let from = self.ports();
                let of = self.choices.one_of(&["udp", "tcp"]);
                let icmp = self.string("echo-request");
                format!("{{ {of} = {ports}, source-port = {from}, icmp = [{icmp}] }}")
            }
            4 => {
                let name = self.choices.one_of(&KNOWN);
                let name = self.string(name);
                let first = 1 + self.choices.below(60_000);
                let range = self.string(&format!("{first}-{}", first + 9));
                format!("[{{ tcp = {first}, udp = {range} }}, {name}]")
            }
            0 => {
                let name = self.choices.one_of(&KNOWN);
                self.string(name)
            }
            1 => {
                let count = 2 + self.choices.below(3);
                let names: Vec<&str> = (0..count).map(|_| self.choices.one_of(&KNOWN)).collect();
                self.strings(&names)
            }
            2 => {
                let ports = self.ports();
                let udp = self.ports();
                format!("{{ tcp = {ports}, udp = {udp} }}")
            }
            _ => {
                let ports = self.ports();
                let icmp = self.string("echo-request");
                let helper = if self.choices.once_in(3) {
                    ", helper = true"
                } else {
                    ""
                };
                format!("{{ tcp = {ports}, icmp = [{icmp}]{helper} }}")
            }
        }
    }

    fn ports(&mut self) -> String {
        let count = self.choices.one_of(&[1, 2, 7, 16, 40]);
        let ports: Vec<String> = (0..count)
            .map(|_| {
                let first = 1 + self.choices.below(60_000);
                match self.choices.once_in(3) {
                    true => {
                        let last = first + self.choices.below(5_000);
                        self.string(&format!("{first}-{last}"))
                    }
                    false => first.to_string(),
                }
            })
            .collect();
        format!("[{}]", ports.join(", "))
    }

    /// `limit` and its like, each as `key = value`.
    fn limits(&mut self) -> Vec<String> {
        let mut keys = Vec::new();
        if self.choices.once_in(3) {
            let count = self
                .choices
                .one_of(&["1", "6", "7", "59", "90", "1000", "9999", "10000"]);
            let unit = self
                .choices
                .one_of(&["second", "minute", "hour", "day", "s", "min"]);
            let rate = self.string(&format!("{count}/{unit}"));
            keys.push(format!("limit = {rate}"));
        }
        if self.choices.once_in(4) {
            let most = 1 + self.choices.below(65_535);
            keys.push(format!("connections = {most}"));
        }
        if self.choices.once_in(4) {
            let attempts = 1 + self.choices.below(19);
            let within = self
                .choices
                .one_of(&["1 second", "10 minutes", "2hours", "30 days"]);
            let within = self.string(within);
            keys.push(format!(
                "block-after = {{ attempts = {attempts}, within = {within} }}"
            ));
        }
        if self.choices.once_in(4) {
            let when = self.when();
            keys.push(format!("when = {{ {when} }}"));
        }
        keys
    }

    fn when(&mut self) -> String {
        let mut keys = Vec::new();
        let days = self
            .choices
            .one_of(&["mon-fri", "sat,sun", "fri-mon", "wed", "mon-sun"]);
        let what = self.choices.below(3);
        if what != 0 {
            let (from, to) = self.choices.one_of(&[
                ("08:00", "18:00"),
                ("22:00", "06:00:30"),
                ("00:00", "23:59:59"),
                ("23:59:59", "00:00"),
            ]);
            keys.push(format!("from = {}", self.string(from)));
            keys.push(format!("to = {}", self.string(to)));
        }
        if what != 1 {
            keys.push(format!("days = {}", self.string(days)));
        }
        keys.join(", ")
    }

    /// An allow line, and the exceptions that it needs.
    fn allow(&mut self) {
        let to_router = self.choices.once_in(2);
        let to = self.choices.below(self.zones.len());
        let others: Vec<usize> = (0..self.zones.len())
            .filter(|zone| to_router || *zone != to)
            .collect();
        let from = self.choices.one_of(&others);
        let any = self.choices.once_in(5);
        let from_router = !any && !to_router && self.listed && self.choices.once_in(3);
        let list = !any && !from_router && others.len() > 1 && self.choices.once_in(5);
        let sources: Vec<usize> = match (any || list, from_router) {
            (true, _) => others,
            (_, true) => Vec::new(),
            _ => vec![from],
        };
        let from_name = match (any, from_router) {
            (true, _) => "any",
            (_, true) => "router",
            _ => self.zones[from].name,
        };
        let to_name = if to_router {
            "router"
        } else {
            self.zones[to].name
        };
        let service = self.service(to_router);
        for source in &sources {
            let (from, to) = (self.zones[*source].clone(), self.zones[to].clone());
            if !to_router && from.role == "camera" && to.role != "camera" {
                let (from, to) = (self.string(from.name), self.string(to.name));
                self.line(&format!(
                    "[[exceptions]]\nfrom = {from}\nto = {to}\nservice = {service}"
                ));
            }
        }
        self.line("[[allow]]");
        if list {
            let names: Vec<&str> = sources.iter().map(|it| self.zones[*it].name).collect();
            let names = self.strings(&names);
            self.line(&format!("from = {names}"));
        } else {
            self.key("from", from_name);
        }
        self.key("to", to_name);
        self.line(&format!("service = {service}"));
        if let ([source], true) = (sources.as_slice(), self.choices.once_in(3)) {
            let zone = self.zones[*source].clone();
            let hosts = self.hosts(&zone);
            self.line(&format!("source = {hosts}"));
        }
        if !to_router && self.choices.once_in(2) {
            let zone = self.zones[to].clone();
            let hosts = self.hosts(&zone);
            self.line(&format!("address = {hosts}"));
            if zone.is_external() && self.choices.once_in(2) {
                let names = self.strings(&["smtp.example.org", "Dead.example.org"]);
                self.line(&format!("host = {names}"));
            }
        }
        if !to_router && self.choices.once_in(3) {
            let zone = self.zones[to].clone();
            let hosts = self.hosts(&zone);
            self.line(&format!("except = {hosts}"));
        }
        for key in self.limits() {
            self.line(&key);
        }
    }

    /// What no line lets through.
    fn deny(&mut self) {
        let (from, to) = self
            .choices
            .one_of(&[(0, 1), (1, 2), (2, 0), (0, 2), (1, 0), (2, 1)]);
        let zone = |it: &Self, place: usize| it.zones[place % it.zones.len()].clone();
        let (from, to) = (zone(self, from), zone(self, to));
        self.line("[[deny]]");
        let sources = self.choices.once_in(2);
        let from_name = match self.choices.below(4) {
            0 => "any",
            1 if self.listed => "router",
            _ => from.name,
        };
        let to_name = match self.choices.below(4) {
            0 => "any",
            1 if sources && from_name != "router" => "router",
            _ if from_name == to.name => "any",
            _ => to.name,
        };
        self.key("from", from_name);
        self.key("to", to_name);
        let key = if sources { "source" } else { "address" };
        let networks = [
            "10.0.0.0/9",
            "0.0.0.0/1",
            "fe80::/10",
            "fd00::/16",
            "192.168.0.0/16",
        ];
        let list = match self.choices.below(3) {
            0 => {
                let network = self.choices.one_of(&networks);
                self.strings(&[network])
            }
            _ if sources => self.hosts(&from),
            _ => self.hosts(&to),
        };
        self.line(&format!("{key} = {list}"));
    }

    /// What the router answers in others' place, with the line that lets it be asked.
    fn redirects(&mut self) {
        let inside: Vec<Zone> = self
            .zones
            .iter()
            .filter(|it| !it.is_external())
            .cloned()
            .collect();
        for zone in inside {
            if !self.choices.once_in(4) {
                continue;
            }
            let service = "{ tcp = [53, \"853-860\"], udp = 53 }";
            for table in ["allow", "redirects"] {
                self.line(&format!("[[{table}]]"));
                self.key("from", zone.name);
                self.key("to", "router");
                self.line(&format!("service = {service}"));
                if table == "allow" && self.choices.once_in(3) {
                    let hosts = self.hosts(&zone);
                    self.line(&format!("source = {hosts}"));
                }
            }
        }
    }

    /// Addresses in a zone: one, some, or more than are compared one by one.
    fn hosts(&mut self, zone: &Zone) -> String {
        let count = self.choices.one_of(&[1, 2, 5, 40]);
        let mut hosts: Vec<String> = Vec::new();
        for number in 0..count {
            hosts.push(match (zone.is_external(), self.choices.below(5)) {
                (_, 4) => {
                    let last = zone.host(2 + number + self.choices.below(60));
                    format!("{}-{last}", zone.host(2 + number))
                }
                (true, 0) => format!("198.51.100.{}", 1 + number * 5 % 250),
                (true, 1) => format!("203.0.{number}.0/24"),
                (_, 2) => format!("10.{}.0.{}/30", zone.number, number * 4 % 256),
                (_, 3) if self.same => format!("fd00:{}::{:x}", zone.number, 16 + number),
                _ => zone.host(2 + number),
            });
        }
        self.strings(&hosts)
    }

    /// Masquerade, SNAT, forwards and the proxy, each with its allow line.
    fn rewrites(&mut self) {
        let count = self.zones.len();
        if count < 3 {
            return;
        }
        let (external, inside) = (self.zones[0].clone(), self.zones[2].clone());
        match self.choices.below(4) {
            0 => {}
            way => {
                self.between(&inside, &external, "{ tcp = [8443] }");
                let table = if way == 1 { "snat" } else { "masquerade" };
                if !(external.dhcp && way == 1) {
                    self.line(&format!("[[{table}]]"));
                    self.key("from", inside.name);
                    self.key("to", external.name);
                    if way == 1 {
                        self.key("address", "10.0.0.1");
                    }
                }
            }
        }
        if self.choices.once_in(3) {
            self.between(&external, &inside, "{ tcp = [50443], udp = [50443] }");
            for (number, protocol) in ["tcp", "udp"].into_iter().enumerate() {
                self.line("[[forwards]]");
                self.key("from", external.name);
                self.key("to", inside.name);
                self.key("address", &inside.host(20));
                self.line(&format!(
                    "{protocol} = {}\nto-port = 50443",
                    64_000 + number
                ));
                self.loopback(&inside);
            }
        }
        if self.choices.once_in(3) {
            let service = "{ tcp = \"51000-51010\", udp = [\"51000-51003\", 51005] }";
            self.between(&external, &inside, service);
            let hosts = self.choices.one_of(&[(20, 20), (15, 20), (20, 27)]);
            let range = format!("{}-{}", inside.host(hosts.0), inside.host(hosts.1));
            if self.choices.once_in(2) {
                self.key("address", &range);
            }
            for ports in ["tcp = \"51002-51010\"", "udp = [51005, \"51001-51003\"]"] {
                self.line("[[forwards]]");
                self.key("from", external.name);
                self.key("to", inside.name);
                self.key("address", &inside.host(20));
                let direct = self.choices.once_in(3);
                self.line(&format!("{ports}\ndirect = {direct}"));
                self.loopback(&inside);
            }
        }
        if self.choices.once_in(3) {
            self.line(&format!(
                "[[allow]]\nfrom = \"{}\"\nto = \"router\"\nservice = {{ tcp = [63128] }}",
                inside.name
            ));
            self.line("[[proxy]]\nservice = { tcp = [80, \"8000-8010\"] }\nport = 63128");
            self.key("from", inside.name);
            self.key("to", external.name);
        }
        if count > 3 && self.zones[3].role == "private" && self.choices.once_in(2) {
            let proxies = self.zones[3].clone();
            self.between(&inside, &proxies, "\"http\"");
            self.line("[[proxy]]");
            self.key("from", inside.name);
            self.key("to", self.zones[1].name);
            self.key("service", "http");
            self.key("via", &proxies.host(5));
        }
    }

    /// Who reaches a forward from inside: the zone of its host, others, or both.
    fn loopback(&mut self, inside: &Zone) {
        let zones = self.zones.iter();
        // An address that is not known is not told from another one.
        let others = zones.filter(|it| it.role == "private" && it.name != inside.name && !it.dhcp);
        let mut names: Vec<String> = others.map(|it| it.name.to_owned()).collect();
        if !inside.dhcp {
            names.push(inside.name.to_owned());
        }
        names.retain(|_| self.choices.once_in(2));
        if !names.is_empty() {
            let names = self.strings(&names);
            self.line(&format!("loopback = {names}"));
        }
    }

    fn between(&mut self, from: &Zone, to: &Zone, service: &str) {
        self.line("[[allow]]");
        self.key("from", from.name);
        self.key("to", to.name);
        self.line(&format!("service = {service}"));
    }

    fn routes(&mut self) {
        if self.zones.len() > 2 && self.choices.once_in(4) {
            let via = self.zones[2].host(9);
            self.line("[[routes]]");
            self.key("to", "172.31.0.0/16");
            self.key("via", &via);
        }
        if self.choices.once_in(6) {
            self.line("[[marks]]\nfwmark = 7\ntable = 100");
        }
    }

    fn rest(&mut self) {
        if self.listed {
            self.line("[router]");
            self.key("egress", "listed");
        }
        if self.same {
            self.line("[ipv6]");
            self.key("mode", "same");
        }
        if self.choices.once_in(2) {
            self.line("[log]\ndropped = true");
            let rate =
                self.choices
                    .one_of(&["10/minute", "1/day", "10000/second", "7/hour", "61/min"]);
            self.key("rate", rate);
            if self.choices.once_in(2) {
                // The longest of camfw's own words has 26 bytes.
                self.key("prefix", "f: ");
            }
        }
    }
}
