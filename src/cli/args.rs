//! Arguments as written.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use thiserror::Error;

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
  show vsftpd      the FTP server's side of it, for vsftpd.conf
  show dnsmasq     leases for the listed cameras, for dnsmasq.conf
  show ntp         the time for those who may ask, for chrony.conf
  boot             close the box, then apply the file: the init script's command
  apply            bring the running box to what the file says
  watch            stay, and finish the network when interfaces come and go
  seal             close the box: nothing in, out or across
  open             take the firewall off: everything is accepted
  prove            is it what the file says, and nothing else? for every packet
                   [--live] of the rules that the kernel holds
  trace            what becomes of one packet, rule by rule: --from ZONE --to ZONE
                   --src A --dst B --proto tcp --sport 1 --dport 2 --flags SYN
                   --icmp-type 8/0 --state NEW --mac M --mark N --ttl N --fragment
                   [--live | --rules DUMP] [--packets FILE] one packet a line
  status           does the kernel hold what the file says?

  --config FILE    default /etc/camfw/camfw.toml
  --verbose        log more

exit codes: 0 applied, or it holds    1 it does not hold, or rolled back
            2 refused: bad usage or bad file, nothing changed (boot: sealed)
            3 sealed: could not apply, the box is closed
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
    const FLAGS: [&'static str; 3] = ["live", "fragment", "json"];

    /// Which go with which command.
    const OF: [(&'static str, &'static [&'static str]); 2] = [
        ("prove", &["live"]),
        (
            "trace",
            &[
                "live",
                "rules",
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    Status,
    /// Is it what the file says, and nothing else?
    Prove,
    /// What becomes of one packet?
    Trace,
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
    Apply,
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
    #[error("show takes rules, network, sysctls, vsftpd, dnsmasq or ntp")]
    UnknownShow,
    /// An option that goes with another command.
    #[error("--{0} does not go with this command")]
    OptionElsewhere(String),
    /// `--ipv4` or `--ipv6` elsewhere than with `show rules`.
    #[error("--ipv4 and --ipv6 go with show rules alone")]
    FamilyElsewhere,
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
        let (mut ipv4, mut ipv6) = (false, false);
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
            ["show", "sysctls"] => Command::Show(Show::Sysctls),
            ["show", "vsftpd"] => Command::Show(Show::Daemon(Daemon::Vsftpd)),
            ["show", "dnsmasq"] => Command::Show(Show::Daemon(Daemon::Dnsmasq)),
            ["show", "ntp"] => Command::Show(Show::Daemon(Daemon::Ntp)),
            ["show", ..] => return Err(UsageError::UnknownShow),
            ["prove"] => Command::Prove,
            ["trace"] => Command::Trace,
            ["status"] => Command::Status,
            ["boot"] => Command::Change(Change::Boot),
            ["apply"] => Command::Change(Change::Apply),
            ["watch"] => Command::Change(Change::Watch),
            ["seal"] => Command::Change(Change::Seal),
            ["open"] => Command::Change(Change::Open),
            words => return Err(UsageError::UnknownCommand(words.join(" "))),
        };
        if let Some(name) = options.elsewhere(&words.join(" ")) {
            return Err(UsageError::OptionElsewhere(name.to_owned()));
        }
        let families = matches!(command, Command::Show(Show::Rules { .. }));
        if (ipv4 || ipv6) && !families {
            return Err(UsageError::FamilyElsewhere);
        }
        Ok(Args {
            config,
            verbose,
            command,
            options,
        })
    }
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
            "--config",
            "-x check",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
