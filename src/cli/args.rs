//! Arguments as written.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use thiserror::Error;

use crate::apply::Waiter;

/// Where the configuration is unless an argument says otherwise.
pub(super) const DEFAULT_CONFIG: &str = "/etc/camfw/camfw.toml";

/// What `--help` prints.
pub const HELP: &str = "\
camfw stands between untrusted cameras and everything else.

usage: camfw [--config FILE] [--verbose] COMMAND

  check            is the file good?
  show rules       the rules it gives, as iptables-restore reads them
                   [--ipv4 | --ipv6]
  show network     the links, addresses and routes it gives
  show sysctls     the kernel settings it gives, and why
  show kernel      the lines of the kernel's configuration that it needs
                   [--nft: for iptables-nft]
  show vsftpd      the FTP server's side of it, for vsftpd.conf
  show dnsmasq     leases for the listed cameras, for dnsmasq.conf
  show ntp         the time for those who may ask, for chrony.conf
  show matrix      who reaches whom [--dport N] [--proto P] [--json | --svg] [--ipv6]
                   [--live | --rules DUMP --networks FILE]
  boot             close the box, then apply the file: the init script's command
  apply            bring the running box to what the file says
                   [--confirm SECONDS: and back again unless confirm comes]
                   [--replace: take other programs' rules away on a first apply too]
  confirm          keep what apply --confirm applied
  refresh          look up the names of hosts again, and carry out what changed
  watch            stay, and finish the network when interfaces come and go
  seal             close the box: nothing in, out or across
  open             take the firewall off: everything is accepted
  prove            is it what the file says, and nothing else? for every packet
                   [--live] of the rules that the kernel holds
                   [--rules DUMP --networks FILE [--chain TABLE/CHAIN]] are spoofed
                   sources kept out of the interfaces of FILE by anyone's rules?
                   and ICMP errors about connections that nobody there has?
                   [--claim spoofing | related] decides the exit code, spoofing
                   unless it is given; it may be given twice
  trace            what becomes of one packet, rule by rule: --from ZONE --to ZONE
                   --src A --dst B --proto tcp --sport 1 --dport 2 --flags SYN
                   --icmp-type 8/0 --state NEW --mac M --mark N --ttl N --fragment
                   --dnat --snat (its connection is rewritten)
                   --ctdir REPLY --ctorigsrc A --ctorigdst A --ctreplsrc A
                   --ctrepldst A (its connection's ends, as iptables has them)
                   --expected --helper ftp (a helper expected its connection)
                   [--live | --rules DUMP [--networks FILE]]
                   [--packets FILE] one packet a line
  compare OLD NEW  of whose packets does something else become? files or dumps
  status           does the kernel hold what the file says, and what was counted?
                   [--json]

  --config FILE    default /etc/camfw/camfw.toml
  --verbose        log more

exit codes: 0 applied, or it holds
            1 it does not hold; applied but incomplete, or not all could be kept;
              rolled back; the last good policy and not the file
            2 refused, nothing changed: bad usage or file, no root, what is missing
              on this box, other programs' rules (boot: sealed)
            3 sealed, or not forwarding: nothing passes between zones
            4 unsealed: could not even do that
";

/// The arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    /// The configuration file.
    pub config: PathBuf,
    /// Whether debug lines are logged.
    pub verbose: bool,
    /// What to do.
    pub command: Command,
    /// Options of the commands that prove something.
    pub options: Options,
}

/// Options that go with one command or a few: name, without dashes, and value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(String, String)>);

impl Options {
    /// Those that have no value.
    const FLAGS: [&'static str; 7] = [
        "live",
        "fragment",
        "dnat",
        "snat",
        "svg",
        "expected",
        "elsewhere",
    ];

    /// Which go with which command.
    const OF: [(&'static str, &'static [&'static str]); 3] = [
        (
            "show matrix",
            &["live", "rules", "networks", "proto", "dport", "svg"],
        ),
        ("prove", &["live", "rules", "networks", "chain", "claim"]),
        (
            "trace",
            &[
                "live",
                "rules",
                "networks",
                "packets",
                "from",
                "to",
                "src",
                "dst",
                "proto",
                "sport",
                "dport",
                "icmp-type",
                "flags",
                "state",
                "mac",
                "mark",
                "ttl",
                "fragment",
                "dnat",
                "snat",
                "ctdir",
                "ctorigsrc",
                "ctorigdst",
                "ctreplsrc",
                "ctrepldst",
                "expected",
                "helper",
                "elsewhere",
            ],
        ),
    ];

    fn is_known(name: &str) -> bool {
        Options::OF.iter().any(|(_, names)| names.contains(&name))
    }

    /// The first that does not go with a command.
    fn elsewhere(&self, command: &str) -> Option<&str> {
        let fits = |name: &str| {
            let mut of = Options::OF.iter();
            of.any(|(known, names)| *known == command && names.contains(&name))
        };
        let mut names = self.0.iter().map(|(name, _)| name.as_str());
        names.find(|name| !fits(name))
    }

    /// The value of an option, the last one if there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter().rev();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of an option.
    pub fn every<'o>(&'o self, name: &'o str) -> impl Iterator<Item = &'o str> {
        let all = self.0.iter().filter(move |(known, _)| known == name);
        all.map(|(_, value)| value.as_str())
    }

    /// Whether an option is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All of them.
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say how it is used.
    Help,
    /// Say which version it is.
    Version,
    /// Is the file good?
    Check,
    /// Print what the file gives.
    Show(Show),
    /// Does the kernel hold it?
    Status {
        /// For a program to read.
        json: bool,
    },
    /// Is it what the file says, and nothing else?
    Prove,
    /// What becomes of one packet?
    Trace,
    /// Who reaches whom?
    Matrix {
        /// By IPv6, not IPv4.
        ipv6: bool,
        /// As JSON.
        json: bool,
    },
    /// Whose packets change their verdict, from the first file to the second?
    Compare(String, String),
    /// A waiter of `apply --confirm`, which starts it.
    AwaitConfirmation {
        /// Of which of them.
        token: String,
        /// For how long.
        seconds: u64,
        /// Which of the two that wait.
        waiter: Waiter,
    },
    /// Change the kernel.
    Change(Change),
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Rules of the families chosen.
    Rules {
        /// IPv4's
        ipv4: bool,
        /// IPv6's
        ipv6: bool,
    },
    /// Links, addresses, routes.
    Network,
    /// Kernel settings.
    Sysctls,
    /// The kernel's configuration.
    Kernel {
        /// For iptables-nft, not iptables-legacy.
        nft: bool,
    },
    /// What another program on the router has to be told.
    Daemon(Daemon),
}

/// A program on the router that has to agree with the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// The FTP server.
    Vsftpd,
    /// The DHCP server.
    Dnsmasq,
    /// The time server.
    Ntp,
}

/// The commands that change the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Seal, then apply.
    Boot,
    /// Apply.
    Apply {
        /// For so many seconds; None for good.
        confirm: Option<u64>,
        /// Whether other programs' rules are taken away on a first apply too.
        replace: bool,
    },
    /// Keep what was applied for a while.
    Confirm,
    /// Look names up again.
    Refresh,
    /// Look after the network as interfaces come and go.
    Watch,
    /// Close the box.
    Seal,
    /// Take the firewall off.
    Open,
}

/// Why arguments are not taken.
#[derive(Debug, Error)]
pub enum UsageError {
    /// As the parser says.
    #[error(transparent)]
    Argument(#[from] lexopt::Error),
    /// No command.
    #[error("no command was given")]
    NoCommand,
    /// A command that there is not.
    #[error("no command is called {0:?}")]
    UnknownCommand(String),
    /// `show` of nothing that there is.
    #[error("show takes rules, network, sysctls, matrix, kernel, vsftpd, dnsmasq or ntp")]
    UnknownShow,
    /// A number of seconds that is none.
    #[error("{0:?} is not a number of seconds from 1 to 86400")]
    Seconds(String),
    /// An option of another command.
    #[error("{0} alone")]
    OptionElsewhere(&'static str),
    /// An option that goes with another command.
    #[error("--{0} does not go with this command")]
    OptionOfAnother(String),
}

impl Args {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Args, UsageError> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut config = PathBuf::from(DEFAULT_CONFIG);
        let mut verbose = false;
        let (mut ipv4, mut ipv6, mut nft, mut json) = (false, false, false, false);
        let mut confirm = None;
        let mut replace = false;
        let mut words: Vec<String> = Vec::new();
        let mut options = Options::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => words = vec!["help".into()],
                Short('V') | Long("version") => words = vec!["version".into()],
                Short('c') | Long("config") => config = parser.value()?.into(),
                Short('v') | Long("verbose") => verbose = true,
                Short('4') | Long("ipv4") => ipv4 = true,
                Short('6') | Long("ipv6") => ipv6 = true,
                Long("nft") => nft = true,
                Long("json") => json = true,
                Long("replace") => replace = true,
                Long("confirm") => confirm = Some(seconds(&parser.value()?.to_string_lossy())?),
                Long(name) if Options::is_known(name) => {
                    let name = name.to_owned();
                    let value = match Options::FLAGS.contains(&name.as_str()) {
                        true => String::new(),
                        false => parser.value()?.to_string_lossy().into_owned(),
                    };
                    options.0.push((name, value));
                }
                Value(word) => words.push(word.to_string_lossy().into_owned()),
                other => return Err(other.unexpected().into()),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let command = match words.as_slice() {
            [] => return Err(UsageError::NoCommand),
            ["help", ..] => Command::Help,
            ["version"] => Command::Version,
            ["check"] => Command::Check,
            ["show", "rules"] => Command::Show(Show::Rules {
                ipv4: ipv4 || !ipv6,
                ipv6: ipv6 || !ipv4,
            }),
            ["show", "network"] => Command::Show(Show::Network),
            ["show", "matrix"] => Command::Matrix { ipv6, json },
            ["show", "sysctls"] => Command::Show(Show::Sysctls),
            ["show", "kernel"] => Command::Show(Show::Kernel { nft }),
            ["show", "vsftpd"] => Command::Show(Show::Daemon(Daemon::Vsftpd)),
            ["show", "dnsmasq"] => Command::Show(Show::Daemon(Daemon::Dnsmasq)),
            ["show", "ntp"] => Command::Show(Show::Daemon(Daemon::Ntp)),
            ["show", ..] => return Err(UsageError::UnknownShow),
            ["status"] => Command::Status { json },
            ["prove"] => Command::Prove,
            ["trace"] => Command::Trace,
            ["compare", old, new] => Command::Compare((*old).to_owned(), (*new).to_owned()),
            ["boot"] => Command::Change(Change::Boot),
            ["apply"] => Command::Change(Change::Apply { confirm, replace }),
            ["confirm"] => Command::Change(Change::Confirm),
            ["refresh"] => Command::Change(Change::Refresh),
            ["watch"] => Command::Change(Change::Watch),
            ["seal"] => Command::Change(Change::Seal),
            ["open"] => Command::Change(Change::Open),
            ["await-confirmation", token, given, waiter] => Command::AwaitConfirmation {
                token: (*token).to_owned(),
                seconds: seconds(given)?,
                waiter: Waiter::from_name(waiter)
                    .ok_or_else(|| UsageError::UnknownCommand(words.join(" ")))?,
            },
            words => return Err(UsageError::UnknownCommand(words.join(" "))),
        };
        let elsewhere = |given: bool, is_its_own: bool, which| match given && !is_its_own {
            true => Err(UsageError::OptionElsewhere(which)),
            false => Ok(()),
        };
        if let Some(name) = options.elsewhere(&words.join(" ")) {
            return Err(UsageError::OptionOfAnother(name.to_owned()));
        }
        let families = matches!(
            command,
            Command::Show(Show::Rules { .. }) | Command::Matrix { .. }
        );
        elsewhere(
            ipv4 || ipv6,
            families,
            "--ipv4 and --ipv6 go with show rules",
        )?;
        let kernel = matches!(command, Command::Show(Show::Kernel { .. }));
        elsewhere(nft, kernel, "--nft goes with show kernel")?;
        let json_too = matches!(command, Command::Status { .. } | Command::Matrix { .. });
        elsewhere(json, json_too, "--json goes with status and show matrix")?;
        let apply = matches!(command, Command::Change(Change::Apply { .. }));
        elsewhere(confirm.is_some(), apply, "--confirm goes with apply")?;
        elsewhere(replace, apply, "--replace goes with apply")?;
        Ok(Args {
            config,
            verbose,
            command,
            options,
        })
    }
}

fn seconds(text: &str) -> Result<u64, UsageError> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| UsageError::Seconds(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, UsageError> {
        Args::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_stand_on_either_side() -> Result<(), UsageError> {
        let before = parse("--config f show rules --ipv4")?;
        assert_eq!(before, parse("show --ipv4 rules --config=f")?);
        assert_eq!(
            before.command,
            Command::Show(Show::Rules {
                ipv4: true,
                ipv6: false
            })
        );
        assert_eq!(parse("apply")?.config, PathBuf::from(DEFAULT_CONFIG));
        assert_eq!(parse("check --help")?.command, Command::Help);
        Ok(())
    }

    #[test]
    fn bad_usage_is_an_error() {
        for line in [
            "",
            "apply now",
            "show",
            "show x",
            "check --ipv4",
            "show rules --nft",
            "apply --confirm",
            "apply --confirm 0",
            "apply --confirm 1h",
            "seal --confirm 60",
            "boot --replace",
            "check --json",
            "--config",
            "-x check",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
