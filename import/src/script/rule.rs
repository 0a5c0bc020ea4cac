//! The words of one rule, as iptables and iptables-save have them, as what they match and what becomes of it.

use std::net::Ipv4Addr;

use super::spans::{PacketBox, ServiceSpans, Spans};
use super::written::{self, WrittenAddress};

/// An interface's name in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceCondition {
    pub name: String,
    /// Every name that begins so (`eth+`).
    prefix: bool,
    pub negated: bool,
}

impl InterfaceCondition {
    fn new(word: &str, negated: bool) -> Self {
        let name = word.strip_suffix('+');
        Self {
            name: name.unwrap_or(word).to_owned(),
            prefix: name.is_some(),
            negated,
        }
    }

    pub fn matches(&self, interface: &str) -> bool {
        let is_it = match self.prefix {
            true => interface.starts_with(&self.name),
            false => interface == self.name,
        };
        is_it != self.negated
    }

    /// The one interface that it is about.
    pub fn one(&self) -> Option<&str> {
        (!self.prefix && !self.negated).then_some(self.name.as_str())
    }
}

/// Whether the first packets of connections match, as far as states and TCP's flags tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPacket {
    Always,
    Never,
    /// If a forward rewrote where they go to (`--ctstate DNAT`).
    Forwarded,
}

/// What becomes of what a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    Accept,
    /// REJECT too.
    Drop,
    Return,
    Log,
    Chain(String),
    /// No verdict: the next rule is asked.
    GoesOn(Option<String>),
    /// Nobody here knows what becomes of it.
    Unknown(String),
    Masquerade,
    Snat(Ipv4Addr),
    Dnat {
        to: Ipv4Addr,
        port: Option<(u16, u16)>,
    },
    Redirect(Option<u16>),
    ClampMss,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptRule {
    pub line: usize,
    pub text: String,
    pub words: Vec<String>,
    pub input: Option<InterfaceCondition>,
    pub output: Option<InterfaceCondition>,
    pub packets: PacketBox,
    pub first: FirstPacket,
    /// A condition that a line cannot have.
    pub unsure: Option<String>,
    /// The host that packets go to, by its name.
    pub host: Option<String>,
    /// The hardware address that they come from, or do not.
    pub hardware: Option<(String, bool)>,
    pub target: RuleTarget,
}

impl ScriptRule {
    /// Whether it matches every packet.
    pub fn is_for_all(&self) -> bool {
        self.input.is_none()
            && self.output.is_none()
            && self.packets == PacketBox::all()
            && self.first == FirstPacket::Always
            && self.unsure.is_none()
    }

    /// Reads the words behind the chain's name.
    pub fn read(line: usize, text: &str, words: &[String]) -> Result<Self, String> {
        let mut reader = RuleReader {
            rule: Self {
                line,
                text: text.to_owned(),
                words: words.to_vec(),
                input: None,
                output: None,
                packets: PacketBox::all(),
                first: FirstPacket::Always,
                unsure: None,
                host: None,
                hardware: None,
                target: RuleTarget::GoesOn(None),
            },
            words: words.iter().map(String::as_str).collect::<Vec<_>>(),
            at: 0,
            protocols: Spans::one(0, 255),
            ports: None,
            ports_negated: false,
            jump: None,
            to: None,
        };
        reader.all()?;
        reader.finish()
    }
}

struct RuleReader<'a> {
    rule: ScriptRule,
    words: Vec<&'a str>,
    at: usize,
    protocols: Spans,
    /// Ports that packets go to.
    ports: Option<Spans>,
    ports_negated: bool,
    jump: Option<(&'a str, bool)>,
    /// The value of the target's own option.
    to: Option<&'a str>,
}

impl<'a> RuleReader<'a> {
    fn value(&mut self, option: &str) -> Result<(&'a str, bool), String> {
        let mut negated = false;
        // Before iptables 1.4.3 the `!` stood behind the option.
        if self.words.get(self.at) == Some(&"!") {
            negated = true;
            self.at += 1;
        }
        let value = self.words.get(self.at).copied();
        self.at += 1;
        value
            .map(|value| (value, negated))
            .ok_or_else(|| format!("{option} has no value"))
    }

    fn unsure(&mut self, why: impl Into<String>) {
        self.rule.unsure.get_or_insert(why.into());
    }

    fn all(&mut self) -> Result<(), String> {
        let mut negated = false;
        while let Some(&word) = self.words.get(self.at) {
            self.at += 1;
            if word == "!" {
                negated = true;
                continue;
            }
            let option = match word.split_once('=') {
                // As with getopt_long: the value within the same word.
                Some((option, value)) if option.starts_with("--") => {
                    self.words.insert(self.at, value);
                    option
                }
                _ => word,
            };
            self.option(option, negated)?;
            negated = false;
        }
        Ok(())
    }

    fn option(&mut self, option: &'a str, before: bool) -> Result<(), String> {
        let any = |condition: &Spans, negated: bool| match negated {
            true => condition.not(),
            false => condition.clone(),
        };
        match option {
            "-i" | "--in-interface" => {
                let (name, negated) = self.value(option)?;
                self.rule.input = Some(InterfaceCondition::new(name, negated || before));
            }
            "-o" | "--out-interface" => {
                let (name, negated) = self.value(option)?;
                self.rule.output = Some(InterfaceCondition::new(name, negated || before));
            }
            "-s" | "--source" | "--src" | "-d" | "--destination" | "--dst" => {
                let (value, negated) = self.value(option)?;
                let is_source = ["-s", "--source", "--src"].contains(&option);
                match written::addresses(value)? {
                    WrittenAddress::Spans(spans) => {
                        let spans = any(&spans, negated || before);
                        match is_source {
                            true => self.rule.packets.sources = spans,
                            false => self.rule.packets.destinations = spans,
                        }
                    }
                    WrittenAddress::Name(name) if !is_source && !negated && !before => {
                        self.rule.host = Some(name);
                    }
                    WrittenAddress::Name(name) => {
                        self.unsure(format!("who {name} is tells no address; write addresses"))
                    }
                }
            }
            "--src-range" | "--dst-range" => {
                let (value, negated) = self.value(option)?;
                let spans = written::range(value)
                    .ok_or_else(|| format!("{value:?} is no range of addresses"))?;
                let spans = any(&spans, negated || before);
                match option {
                    "--src-range" => {
                        self.rule.packets.sources = self.rule.packets.sources.and(&spans)
                    }
                    _ => {
                        self.rule.packets.destinations = self.rule.packets.destinations.and(&spans)
                    }
                }
            }
            "-p" | "--protocol" | "--proto" => {
                let (value, negated) = self.value(option)?;
                let number = written::protocol(value).ok_or_else(|| {
                    format!("no protocol called {value:?} is known here; write its number")
                })?;
                self.protocols = any(&number, negated || before);
            }
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                let (value, negated) = self.value(option)?;
                match written::ports(value) {
                    Some(ports) => {
                        self.ports = Some(ports);
                        self.ports_negated = negated || before;
                    }
                    None => self.unsure(format!(
                        "no port called {value:?} is known here; write its number"
                    )),
                }
            }
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                let (value, negated) = self.value(option)?;
                match written::ports(value) {
                    Some(ports) => {
                        let ports = any(&ports, negated || before);
                        self.rule.packets.source_ports = ports.and(&Spans::ports());
                    }
                    None => self.unsure(format!(
                        "no port called {value:?} is known here; write its number"
                    )),
                }
            }
            "--icmp-type" => {
                let (value, negated) = self.value(option)?;
                match written::icmp(value) {
                    Some(types) => {
                        self.rule.packets.service.icmp =
                            any(&types, negated || before).and(&Spans::one(0, 255))
                    }
                    None => self.unsure(format!("no ICMP type called {value:?} is known here")),
                }
            }
            "--state" | "--ctstate" => {
                let (value, negated) = self.value(option)?;
                self.state(value, negated || before)?;
            }
            "--syn" => self.flags("FIN,SYN,RST,ACK", "SYN", before),
            "--tcp-flags" => {
                let (mask, negated) = self.value(option)?;
                let (set, _) = self.value(option)?;
                self.flags(mask, set, negated || before);
            }
            // Fragments but the first: connection tracking has put them together before any rule.
            "-f" | "--fragment" if !before => self.rule.first = FirstPacket::Never,
            "-f" | "--fragment" => {}
            "--mac-source" => {
                let (value, negated) = self.value(option)?;
                let address = written::hardware(value)
                    .ok_or_else(|| format!("{value:?} is no hardware address"))?;
                self.rule.hardware = Some((address, negated || before));
            }
            "-j" | "--jump" | "-g" | "--goto" => {
                let (target, _) = self.value(option)?;
                let goes = option == "-g" || option == "--goto";
                if self.jump.replace((target, goes)).is_some() {
                    return Err("a rule has one target".to_owned());
                }
            }
            "--to-destination" | "--to-source" | "--to-ports" | "--to-port" | "--to" => {
                self.to = Some(self.value(option)?.0);
            }
            "-m" | "--match" => {
                let (name, _) = self.value(option)?;
                const READ: &[&str] = &[
                    "tcp",
                    "udp",
                    "icmp",
                    "state",
                    "conntrack",
                    "multiport",
                    "iprange",
                    "mac",
                    "comment",
                ];
                if !READ.contains(&name) {
                    self.unsure(format!("-m {name}"));
                }
            }
            "--comment" | "--log-prefix" | "--log-level" | "--reject-with" | "--nflog-prefix"
            | "--nflog-group" | "--set-mss" | "--set-mark" | "--set-xmark" => {
                self.value(option)?;
            }
            "--log-ip-options"
            | "--log-tcp-options"
            | "--log-tcp-sequence"
            | "--log-uid"
            | "--clamp-mss-to-pmtu"
            | "-v"
            | "--verbose"
            | "-n"
            | "--numeric" => {}
            "-w" | "--wait" | "-W" | "--wait-interval" => {
                let is_number = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_digit());
                self.at += usize::from(self.words.get(self.at).filter(is_number).is_some());
            }
            "-c" | "--set-counters" => self.at += 2,
            "-4" | "--ipv4" => {}
            "-6" | "--ipv6" => return Err("-6 makes it a rule for IPv6".to_owned()),
            other if other.starts_with('-') => {
                self.unsure(format!(
                    "{other} of {}",
                    self.rule
                        .unsure
                        .clone()
                        .unwrap_or_else(|| "another match".to_owned())
                ));
                // Its values are what comes before the next option.
                while self
                    .words
                    .get(self.at)
                    .is_some_and(|word| !word.starts_with('-') && *word != "!")
                {
                    self.at += 1;
                }
            }
            other => return Err(format!("{other:?} is no option of iptables")),
        }
        Ok(())
    }

    fn state(&mut self, value: &str, negated: bool) -> Result<(), String> {
        const STATES: &[&str] = &[
            "NEW",
            "ESTABLISHED",
            "RELATED",
            "INVALID",
            "UNTRACKED",
            "SNAT",
            "DNAT",
        ];
        let states: Vec<String> = value.split(',').map(str::to_ascii_uppercase).collect();
        if let Some(unknown) = states
            .iter()
            .find(|state| !STATES.contains(&state.as_str()))
        {
            return Err(format!("no state is called {unknown:?}"));
        }
        let has = |name: &str| states.iter().any(|state| state == name);
        if has("SNAT") || (has("DNAT") && (negated || states.len() > 1)) {
            self.unsure("--ctstate of rewritten connections");
        } else if has("DNAT") {
            if self.rule.first == FirstPacket::Always {
                self.rule.first = FirstPacket::Forwarded;
            }
        } else if has("NEW") == negated {
            self.rule.first = FirstPacket::Never;
        }
        Ok(())
    }

    /// A connection of TCP begins with SYN, without FIN, RST and ACK; of the other flags nothing is said.
    fn flags(&mut self, mask: &str, set: &str, negated: bool) {
        const ALL: &[&str] = &["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
        let list = |text: &str| -> Option<Vec<String>> {
            let all = text.split(',').flat_map(|flag| match flag {
                "ALL" => ALL.iter().map(|flag| (*flag).to_owned()).collect(),
                "NONE" => Vec::new(),
                other => vec![other.to_ascii_uppercase()],
            });
            let all: Vec<String> = all.collect();
            all.iter()
                .all(|flag| ALL.contains(&flag.as_str()))
                .then_some(all)
        };
        let (Some(mask), Some(set)) = (list(mask), list(set)) else {
            self.unsure("--tcp-flags");
            return;
        };
        let known = ["FIN", "SYN", "RST", "ACK"];
        let wanted = |flag: &String| set.contains(flag);
        let is = |flag: &String| flag == "SYN";
        let decided = mask.iter().filter(|flag| known.contains(&flag.as_str()));
        // One flag that is otherwise is enough for no match.
        let differs = decided.clone().any(|flag| wanted(flag) != is(flag))
            || set.iter().any(|flag| !mask.contains(flag));
        let undecided = mask.iter().any(|flag| !known.contains(&flag.as_str()));
        match (differs, undecided) {
            (true, _) if !negated => self.rule.first = FirstPacket::Never,
            (false, false) if negated => self.rule.first = FirstPacket::Never,
            (true, _) | (false, false) => {}
            (false, true) => self.unsure("--tcp-flags about PSH or URG"),
        }
    }

    fn finish(mut self) -> Result<ScriptRule, String> {
        let packets = &mut self.rule.packets;
        let mut service = ServiceSpans::protocols(&self.protocols);
        let icmp = std::mem::take(&mut packets.service.icmp);
        if icmp != Spans::one(0, 255) {
            service = ServiceSpans {
                icmp: service.icmp.and(&icmp),
                ..ServiceSpans::default()
            };
        }
        let has_source_ports = packets.source_ports != Spans::ports();
        if self.ports.is_some() || has_source_ports {
            let mut ports = self.ports.unwrap_or_else(Spans::ports);
            if self.ports_negated {
                ports = ports.not();
            }
            // SCTP and DCCP have ports as well, of which nothing is known here.
            if !service.other.is_empty() {
                self.rule
                    .unsure
                    .get_or_insert_with(|| "ports of other protocols than TCP and UDP".to_owned());
            }
            service = ServiceSpans {
                tcp: service.tcp.and(&ports),
                udp: service.udp.and(&ports),
                icmp: Spans::default(),
                other: service.other,
            };
        }
        packets.service = service;
        let port = |word: &str| word.parse::<u16>().ok().filter(|port| *port > 0);
        self.rule.target = match (self.jump, self.to) {
            (None, _) => RuleTarget::GoesOn(None),
            (Some((name, true)), _) => RuleTarget::Unknown(format!("-g {name}")),
            (Some(("ACCEPT", _)), _) => RuleTarget::Accept,
            (Some(("DROP" | "REJECT", _)), _) => RuleTarget::Drop,
            (Some(("RETURN", _)), _) => RuleTarget::Return,
            (Some(("LOG" | "NFLOG" | "ULOG", _)), _) => RuleTarget::Log,
            (Some(("MASQUERADE", _)), None) => RuleTarget::Masquerade,
            (Some(("SNAT", _)), Some(to)) => match to.parse() {
                Ok(address) => RuleTarget::Snat(address),
                Err(_) => RuleTarget::Unknown(format!("SNAT to {to}")),
            },
            (Some(("DNAT", _)), Some(to)) => match written::host_and_ports(to) {
                Some((to, port)) => RuleTarget::Dnat { to, port },
                None => RuleTarget::Unknown(format!("DNAT to {to}")),
            },
            (Some(("REDIRECT", _)), None) => RuleTarget::Redirect(None),
            (Some(("REDIRECT", _)), Some(to)) => match port(to) {
                Some(port) => RuleTarget::Redirect(Some(port)),
                None => RuleTarget::Unknown(format!("REDIRECT to {to}")),
            },
            (Some(("TCPMSS", _)), None) if self.words.contains(&"--clamp-mss-to-pmtu") => {
                RuleTarget::ClampMss
            }
            (
                Some((
                    name @ ("MARK" | "CONNMARK" | "CLASSIFY" | "TOS" | "DSCP" | "TTL" | "TCPMSS"
                    | "SET" | "AUDIT" | "CHECKSUM" | "TRACE"),
                    _,
                )),
                _,
            ) => RuleTarget::GoesOn(Some(name.to_owned())),
            // A chain of the file's own has a name that no target has: they are written in capitals there too.
            (Some((name, _)), None) => RuleTarget::Chain(name.to_owned()),
            (Some((name, _)), Some(_)) => RuleTarget::Unknown(name.to_owned()),
        };
        Ok(self.rule)
    }
}
