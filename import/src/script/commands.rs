//! What the commands of a script leave behind: chains of rules, policies, addresses and routes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::ScriptError;
use super::rule::{RuleTarget, ScriptRule};
use super::shell::ScriptCommand;

/// A chain's rules and, of one of the kernel's, its policy.
#[derive(Debug, Default)]
pub struct ScriptedChain {
    pub rules: Vec<ScriptRule>,
    /// Whether it accepts at its end, by the command of which line.
    pub policy: Option<(bool, usize)>,
}

/// Where an interface's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptedAddress {
    Static(Ipv4Net),
    Dhcp,
}

/// A route, with the number of its line.
#[derive(Clone, Debug)]
pub struct ScriptedRoute {
    pub line: usize,
    pub to: Ipv4Net,
    /// The router.
    pub via: Option<Ipv4Addr>,
    pub interface: Option<String>,
    pub metric: Option<u32>,
}

/// A line that the configuration has nothing for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its number; 0 where it is about no line.
    pub line: usize,
    /// The command.
    pub text: String,
    /// The reason.
    pub why: String,
}

/// The box as a script sets it up.
#[derive(Debug, Default)]
pub struct ScriptedBox {
    /// By table and name.
    pub chains: BTreeMap<(String, String), ScriptedChain>,
    pub addresses: Vec<(String, ScriptedAddress)>,
    pub routes: Vec<ScriptedRoute>,
    pub left_out: Vec<LeftOut>,
    /// Whether it says that nothing is forwarded.
    pub forwards_nothing: bool,
}

const KERNELS: &[(&str, &[&str])] = &[
    ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
    ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    (
        "mangle",
        &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
    ),
    ("raw", &["PREROUTING", "OUTPUT"]),
    ("security", &["INPUT", "FORWARD", "OUTPUT"]),
];

impl ScriptedBox {
    /// Takes the commands one by one.
    pub fn of(commands: &[ScriptCommand]) -> Result<Self, ScriptError> {
        let mut found = Self::default();
        for (table, chains) in KERNELS {
            for chain in *chains {
                let name = ((*table).to_owned(), (*chain).to_owned());
                found.chains.insert(name, ScriptedChain::default());
            }
        }
        for command in commands {
            found.command(command)?;
        }
        Ok(found)
    }

    pub fn chain(&self, table: &str, name: &str) -> Option<&ScriptedChain> {
        self.chains.get(&(table.to_owned(), name.to_owned()))
    }

    pub fn leave_out(&mut self, command: &ScriptCommand, why: impl Into<String>) {
        self.left_out.push(LeftOut {
            line: command.line,
            text: command.text.clone(),
            why: why.into(),
        });
    }

    fn command(&mut self, command: &ScriptCommand) -> Result<(), ScriptError> {
        let refused = |why: String| Err(ScriptError::at(command.line, why));
        let mut words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        if words.first() == Some(&"sudo") {
            words.remove(0);
        }
        let Some((program, words)) = words.split_first() else {
            return Ok(());
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        if command.writes.is_some() && !["echo", "iptables-save", "ip6tables-save"].contains(&name)
        {
            return refused(format!(
                "{name} writes into a file here, which is not known to be nothing but a message"
            ));
        }
        match (name, words) {
            ("iptables" | "iptables-legacy" | "iptables-nft", _) => self
                .iptables(command, words)
                .map_err(|why| ScriptError::at(command.line, why)),
            ("ip6tables" | "ip6tables-legacy" | "ip6tables-nft", _) => {
                self.ip6tables(command, words);
                Ok(())
            }
            ("echo" | "printf", _) => self.echo(command, words),
            ("sysctl", _) => {
                for word in words.iter().filter(|word| !word.starts_with('-')) {
                    match word.split_once('=') {
                        Some((name, value)) => self.setting(command, name, value),
                        None => {
                            return refused(format!(
                                "sysctl {word} sets nothing; write NAME=VALUE"
                            ));
                        }
                    }
                }
                Ok(())
            }
            ("modprobe" | "insmod", modules) => {
                if modules.iter().any(|name| name.ends_with("_ftp")) {
                    self.leave_out(command, "data connections of FTP by its helper; camfw has the passive range of service ftp, or helper = true");
                }
                Ok(())
            }
            ("ip", _) => self
                .ip(command, words)
                .map_err(|why| ScriptError::at(command.line, why)),
            ("ifconfig", [interface, rest @ ..]) => self
                .ifconfig(interface, rest)
                .map_err(|why| ScriptError::at(command.line, why)),
            ("route", _) => self
                .route_command(command, words)
                .map_err(|why| ScriptError::at(command.line, why)),
            ("dhclient" | "udhcpc" | "dhcpcd", [.., interface]) if !interface.starts_with('-') => {
                self.addresses
                    .push(((*interface).to_owned(), ScriptedAddress::Dhcp));
                Ok(())
            }
            // They change nothing.
            (
                "set" | ":" | "true" | "sleep" | "logger" | "iptables-save" | "ip6tables-save"
                | "depmod",
                _,
            ) => Ok(()),
            _ => refused(format!(
                "{program} is no command that is read here, and what it does is not known"
            )),
        }
    }

    fn iptables(&mut self, command: &ScriptCommand, words: &[&str]) -> Result<(), String> {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut table = "filter".to_owned();
        if let Some(at) = words
            .iter()
            .position(|word| word == "-t" || word == "--table")
        {
            table = words.get(at + 1).ok_or("-t has no table")?.clone();
            words.drain(at..=at + 1);
        }
        if !KERNELS.iter().any(|known| known.0 == table) {
            return Err(format!("no table is called {table}"));
        }
        // `-w` may stand first.
        while words
            .first()
            .is_some_and(|word| ["-w", "--wait", "-v", "-n", "-4"].contains(&word.as_str()))
        {
            words.remove(0);
            if words
                .first()
                .is_some_and(|word| word.parse::<u16>().is_ok())
            {
                words.remove(0);
            }
        }
        // Some write conditions before the command: `iptables -i eth0 -A INPUT`.
        const COMMANDS: &[&str] = &[
            "-A",
            "--append",
            "-I",
            "--insert",
            "-D",
            "--delete",
            "-P",
            "--policy",
            "-F",
            "--flush",
            "-X",
            "--delete-chain",
            "-N",
            "--new-chain",
            "-Z",
            "--zero",
            "-L",
            "--list",
            "-S",
            "--list-rules",
        ];
        let at = words
            .iter()
            .position(|word| COMMANDS.contains(&word.as_str()));
        let Some(at) = at else {
            return Err(format!(
                "iptables is read with one of {}",
                COMMANDS
                    .iter()
                    .step_by(2)
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        };
        let what = words.remove(at);
        let operand = (at < words.len() && !words[at].starts_with('-')).then(|| words.remove(at));
        let name = operand.clone().map(|chain| (table.clone(), chain));
        let known = |chains: &BTreeMap<_, _>| match &name {
            None => Err(format!("{what} takes a chain")),
            Some(name) if chains.contains_key(name) => Ok(name.clone()),
            Some((_, chain)) => Err(format!(
                "table {table} has no chain {chain}; make it with -N above"
            )),
        };
        match what.as_str() {
            "-L" | "--list" | "-S" | "--list-rules" | "-Z" | "--zero" => {}
            "-F" | "--flush" => {
                for (at, chain) in &mut self.chains {
                    if at.0 == table && operand.as_ref().is_none_or(|name| *name == at.1) {
                        chain.rules.clear();
                    }
                }
            }
            "-X" | "--delete-chain" => {
                let kernels = |name: &str| {
                    KERNELS
                        .iter()
                        .any(|it| it.0 == table && it.1.contains(&name))
                };
                self.chains.retain(|at, _| {
                    at.0 != table
                        || kernels(&at.1)
                        || operand.as_ref().is_some_and(|name| *name != at.1)
                });
            }
            "-N" | "--new-chain" => {
                let name = name.ok_or("-N takes a chain")?;
                if self.chains.insert(name, ScriptedChain::default()).is_some() {
                    return Err("there is a chain of this name already".to_owned());
                }
            }
            "-P" | "--policy" => {
                let name = known(&self.chains)?;
                if table == "nat" && words.get(at).is_some_and(|word| word != "ACCEPT") {
                    return Err("table nat is not for dropping; its policies are ACCEPT".to_owned());
                }
                let accepts = match words.get(at).map(String::as_str) {
                    Some("ACCEPT") => true,
                    Some("DROP") => false,
                    _ => return Err("a policy is ACCEPT or DROP".to_owned()),
                };
                if let Some(chain) = self.chains.get_mut(&name) {
                    chain.policy = Some((accepts, command.line));
                }
            }
            _ => {
                let name = known(&self.chains)?;
                let mut place = None;
                if what != "-A" && what != "--append" {
                    place = words.get(at).and_then(|word| word.parse::<usize>().ok());
                    if place.is_some() {
                        words.remove(at);
                    }
                }
                let is_delete = what == "-D" || what == "--delete";
                let rule = match is_delete && place.is_some() {
                    true => None,
                    false => Some(ScriptRule::read(command.line, &command.text, &words)?),
                };
                let rules = &mut self
                    .chains
                    .get_mut(&name)
                    .ok_or("there is no such chain")?
                    .rules;
                match (rule, is_delete) {
                    (rule, true) => {
                        let at = match rule {
                            Some(rule) => rules.iter().position(|known| known.words == rule.words),
                            None => place.and_then(|place| place.checked_sub(1)),
                        };
                        let at = at.filter(|at| *at < rules.len());
                        rules.remove(at.ok_or("no rule of this file is what it deletes, and what the box had before is not known")?);
                    }
                    (Some(rule), false) if what == "-I" || what == "--insert" => {
                        let at = place
                            .unwrap_or(1)
                            .checked_sub(1)
                            .filter(|at| *at <= rules.len());
                        rules.insert(at.ok_or("there is no such place in the chain")?, rule);
                    }
                    (Some(rule), false) => rules.push(rule),
                    (None, false) => {}
                }
            }
        }
        Ok(())
    }

    /// camfw drops IPv6, but for the loopback, unless its file says otherwise.
    fn ip6tables(&mut self, command: &ScriptCommand, words: &[&str]) {
        let is = |word: &str| words.contains(&word);
        let lets_in = is("ACCEPT") && !is("lo") && !is("OUTPUT");
        let made = ["-A", "--append", "-I", "--insert"].iter().any(|it| is(it));
        if lets_in || (made && !is("DROP") && !is("REJECT") && !is("ACCEPT") && !is("LOG")) {
            self.leave_out(
                command,
                "IPv6 is dropped here; [ipv6] mode = \"same\" takes it by the lines of IPv4",
            );
        }
    }

    fn echo(&mut self, command: &ScriptCommand, words: &[&str]) -> Result<(), ScriptError> {
        let Some(file) = &command.writes else {
            return Ok(());
        };
        match (file.strip_prefix("/proc/sys/"), words) {
            (Some(name), [value]) => self.setting(command, &name.replace('/', "."), value),
            _ => {
                return Err(ScriptError::at(
                    command.line,
                    format!(
                        "what is written into {file} is not known here; settings are /proc/sys/…"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn setting(&mut self, command: &ScriptCommand, name: &str, value: &str) {
        const CAMFWS: &[(&str, &str)] = &[
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.tcp_syncookies", "1"),
            ("net.ipv4.icmp_echo_ignore_broadcasts", "1"),
            ("net.ipv4.icmp_ignore_bogus_error_responses", "1"),
        ];
        const CONF: &[(&str, &str)] = &[
            ("rp_filter", "1"),
            ("accept_redirects", "0"),
            ("send_redirects", "0"),
            ("secure_redirects", "0"),
            ("accept_source_route", "0"),
            ("forwarding", "1"),
            ("proxy_arp", "0"),
            ("bootp_relay", "0"),
        ];
        let (name, value) = (name.replace('/', "."), value.trim());
        let of_interface = name
            .strip_prefix("net.ipv4.conf.")
            .and_then(|rest| rest.rsplit_once('.'));
        let is_camfws = CAMFWS.contains(&(name.as_str(), value))
            || of_interface.is_some_and(|(_, last)| CONF.contains(&(last, value)))
            || (name.starts_with("net.ipv6.") && name.ends_with(".disable_ipv6"));
        if name == "net.ipv4.ip_forward" {
            self.forwards_nothing = value != "1";
        }
        if !is_camfws {
            self.leave_out(
                command,
                "camfw show sysctls has the settings that camfw makes; others go into sysctl.conf",
            );
        }
    }

    /// The interfaces that rules and addresses name, in the order in which they are met.
    pub fn interfaces(&self) -> Vec<String> {
        let conditions = self.chains.values().flat_map(|chain| &chain.rules);
        let mut named: Vec<(usize, String)> = conditions
            .filter(|rule| rule.target != RuleTarget::GoesOn(None))
            .flat_map(|rule| [(rule.line, &rule.input), (rule.line, &rule.output)])
            .filter_map(|(line, condition)| Some((line, condition.as_ref()?.one()?.to_owned())))
            .collect();
        named.sort();
        let addressed = self.addresses.iter().map(|(name, _)| name.clone());
        let mut all = Vec::new();
        for name in addressed.chain(named.into_iter().map(|(_, name)| name)) {
            if name != "lo" && !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }
}
