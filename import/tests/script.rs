//! Each folder of tests/script: what becomes of its script, with the zones of its `zones`, is its config.toml, which
//! camfw takes; `differs` is what `camfw compare` says of its rules and those of its `dump`, the script's in a kernel
//! (tests/netns/test_import.py). `UPDATE=1 cargo test -p camfw-import` writes both.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use camfw::family::IpFamily;
use camfw::netfilter::{Ruleset, read};
use camfw::policy::Answers;
use camfw::prove::{self, Comparison, VerdictOutcome};
use camfw::source::Source;
use camfw_import::script::{ImportedScript, ZoneHint, import};

type Done = Result<(), Box<dyn Error>>;

/// Those of which all that differs is written down: the seeds' scripts, and one with everything.
const TOLD: &[&str] = &["article", "pi", "notes", "gateway"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/script")
}

fn of(case: &str) -> Result<ImportedScript, Box<dyn Error>> {
    let folder = folder().join(case);
    let zones = fs::read_to_string(folder.join("zones"))?;
    let zones: Result<Vec<ZoneHint>, String> = zones.lines().map(ZoneHint::parse).collect();
    Ok(import(
        &fs::read_to_string(folder.join("script"))?,
        &zones?,
    )?)
}

fn expect(path: &Path, text: &str) -> Done {
    if env::var_os("UPDATE").is_some() {
        fs::write(path, text)?;
    }
    assert_eq!(fs::read_to_string(path)?, text, "{}", path.display());
    Ok(())
}

/// What camfw lets through by itself, which begins no connection of anybody: answers, and the loopback.
fn with_answers(dump: &str) -> String {
    let answers = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    let filter = ["INPUT", "FORWARD", "OUTPUT"].map(|chain| format!("-A {chain} {answers}\n"));
    let (before, after) = dump.split_once("*filter\n").unwrap_or(("", dump));
    let rules = after
        .find("-A")
        .or_else(|| after.find("COMMIT"))
        .unwrap_or(0);
    let (chains, rules) = after.split_at(rules);
    let own = "-A INPUT -i lo -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\n";
    format!("{before}*filter\n{chains}{own}{}{rules}", filter.concat())
}

/// That nothing gets through that did not, and what else differs.
fn holds(case: &str, left_out: usize) -> Done {
    let imported = of(case)?;
    expect(&folder().join(case).join("config.toml"), &imported.text)?;
    let dump = folder().join(case).join("dump");
    let dump = if dump.is_file() {
        dump
    } else {
        folder().join(case).join("script")
    };
    let dump = with_answers(&fs::read_to_string(dump)?);
    let found = compared(&read(&dump)?, &imported.text)?;
    let all = found.changes.iter().chain(&found.doubts);
    let text: Vec<String> = all.map(|it| format!("{it}\n")).collect();
    let more = if found.more { "and more\n" } else { "" };
    if TOLD.contains(&case) {
        expect(
            &folder().join(case).join("differs"),
            &(text.concat() + more),
        )?;
    }
    no_more_than(&dump, &imported.text).map_err(|why| format!("{case}: {why}"))?;
    assert_eq!(
        imported.left_out.len(),
        left_out,
        "{case}: {}",
        imported.text
    );
    Ok(())
}

/// That rules let through all that a configuration does.
fn no_more_than(dump: &str, config: &str) -> Done {
    // Of what cameras open it depends on the zone's bound whether it gets through: without one it is certain.
    let camera = "role      = \"camera\"";
    let config = config.replace(camera, &format!("{camera}\nbound     = false"));
    let found = compared(&read(dump)?, &config)?;
    let all = found.changes.iter().map(|change| (change, true));
    for (change, certain) in all.chain(found.doubts.iter().map(|change| (change, false))) {
        let states: Vec<&str> = change.packets.split([' ', ',']).collect();
        let has = |state| states.contains(&state);
        // What is part of a connection begins none.
        let begins = has("NEW") || !(has("ESTABLISHED") || has("RELATED"));
        // What is in doubt may have got through before.
        let did_not = certain || change.to_string().contains("    was DROP by ");
        let first = change.packets.split(',').next().unwrap_or_default();
        let of_loopback = ["in by lo", "out by lo"].contains(&first);
        // What the router's DHCP server answers whom a line lets ask.
        let answers = ", to 255.255.255.255, udp, port 68, source port 67, NEW";
        if change.packets.starts_with("out by ") && change.packets.ends_with(answers) {
            continue;
        }
        if change.outcome == VerdictOutcome::LetThrough && begins && did_not && !of_loopback {
            return Err(change.to_string().into());
        }
    }
    Ok(())
}

fn compared(before: &Ruleset, config: &str) -> Result<Comparison, Box<dyn Error>> {
    let source = Source::new("config.toml", config.to_owned());
    let plan = camfw::plan(&source, &Answers::new()).map_err(|refusal| refusal.to_string())?;
    let found = prove::compare(before, &plan.rules.v4, IpFamily::V4);
    assert!(!found.too_large);
    Ok(found)
}

#[test]
fn the_articles_script_comes_over_whole() -> Done {
    holds("article", 0)
}

#[test]
fn the_allow_list_of_a_raspberry_pi_comes_over() -> Done {
    holds("pi", 4)
}

#[test]
fn the_lecture_notes_come_over_but_for_their_limits() -> Done {
    holds("notes", 5)
}

#[test]
fn a_gateway_with_cameras_comes_over() -> Done {
    holds("gateway", 7)
}

#[test]
fn what_no_line_can_say_opens_nothing() -> Done {
    holds("odd", 23)
}

#[test]
fn addresses_that_are_forwarded_come_over() -> Done {
    // What has no address of its own on the way out.
    holds("public", 1)
}

#[test]
fn dumps_come_over() -> Done {
    holds("pipe-a", 0)?;
    holds("pipe-b", 1)?;
    holds("recent", 2)
}

/// The first line that is not of the shape that is read, and why.
#[test]
fn what_is_of_another_shape_is_refused_by_its_line() {
    for (text, why) in [
        (
            "CAM_IF = eth1\n",
            "line 1: a shell would start a program \"CAM_IF\" here; write CAM_IF=eth1 without spaces",
        ),
        (
            "IFS=,\n",
            "line 1: IFS says where words end, which is white space here; write the words apart",
        ),
        (
            "IP=$(hostname -I)\n",
            "line 1: $(…) is what a command prints, which is not known here; write its value",
        ),
        (
            "IP=`hostname -I`\n",
            "line 1: `…` is what a command prints, which is not known here; write its value",
        ),
        (
            "IP=\"a `b`\"\n",
            "line 1: `…` is what a command prints, which is not known here; write its value",
        ),
        (
            "\niptables -A INPUT -i $IF -j ACCEPT\n",
            "line 2: $IF has no value in this file; set it above",
        ),
        (
            "iptables -A INPUT -i $1 -j ACCEPT\n",
            "line 1: what the script is called with ($1, $@, $?) is not known here; write the value",
        ),
        (
            "A=${B:-eth0}\n",
            "line 1: ${B…} is more than a variable's value; write the value",
        ),
        (
            "A=eth0; A=${A%0}\n",
            "line 1: ${A…} is more than a variable's value; write the value",
        ),
        (
            "if true; then iptables -F; fi\n",
            "line 1: if is not read here, since it takes a shell to know what it does; write out the commands that are meant",
        ),
        (
            "[ -x /sbin/iptables ] || exit 0\n",
            "line 1: &&, ||, | and & make a command depend on another one; write each on a line of its own",
        ),
        (
            "iptables -F && iptables -X\n",
            "line 1: &&, ||, | and & make a command depend on another one; write each on a line of its own",
        ),
        (
            "iptables-restore < rules\n",
            "line 1: what is read from a file or from the lines below (<) is not known here",
        ),
        (
            "start() {\n",
            "line 1: functions and subshells are not read here; write out the commands",
        ),
        (
            "iptables -A INPUT -s 10.0.0.{1,2} -j DROP\n",
            "line 1: {…} within a word is several words; write them out",
        ),
        (
            "for x in *; do echo; done\n",
            "line 1: a pattern of file names is not known here; put it into quotes",
        ),
        ("for x in a b; do\necho\n", "line 2: a loop has no done"),
        ("echo 'a\nb\n", "line 1: a quote has no end"),
        (
            "wget http://example.org/x\n",
            "line 1: wget is no command that is read here, and what it does is not known",
        ),
        (
            "A=wget\n$A x\n",
            "line 2: wget is no command that is read here, and what it does is not known",
        ),
        (
            "echo 1 > /etc/passwd\n",
            "line 1: what is written into /etc/passwd is not known here; settings are /proc/sys/…",
        ),
        (
            "iptables -F > /etc/passwd\n",
            "line 1: iptables writes into a file here, which is not known to be nothing but a message",
        ),
        (
            "iptables -A input -j DROP\n",
            "line 1: table filter has no chain input; make it with -N above",
        ),
        (
            "iptables -A INPUT -s fd00::1 -j DROP\n",
            "line 1: fd00::1 is an address of IPv6, which iptables does not take",
        ),
        (
            "iptables -D INPUT -i eth0 -j DROP\n",
            "line 1: no rule of this file is what it deletes, and what the box had before is not known",
        ),
        (
            "iptables -A INPUT -j DROP -j ACCEPT\n",
            "line 1: a rule has one target",
        ),
        (
            "ip rule add fwmark 3 table 2\n",
            "line 1: ip rule add fwmark 3 table 2 is not known here; addresses, routes and link set up are",
        ),
        (
            "Configure Netfilter (iptables) on Linux\n",
            "line 1: functions and subshells are not read here; write out the commands",
        ),
        (
            "-A INPUT -i lo -j ACCEPT\n",
            "line 1: it stands before any table; a dump has *filter first, and COMMIT at a table's end",
        ),
        (
            "*filter\n:INPUT DROP [0:0]\n",
            "line 2: the dump ends within table filter, whose COMMIT is missing",
        ),
        (
            "# Generated by ip6tables-save v1.8.9\n*filter\nCOMMIT\n",
            "line 1: it is a dump of ip6tables-save; a file for IPv4 is read, and camfw drops IPv6 unless its file says otherwise",
        ),
        (
            "iptables -P INPUT DROP\n",
            "no rule or address names an interface; give each with --zone eth1=camera,192.168.8.1/24",
        ),
        (
            "iptables -A INPUT -i eth1 -j DROP\niptables -A INPUT -i eth0 -j DROP\n",
            "no line says the router's own address on eth1, eth0; give it for each, as in --zone eth1=192.168.8.1/24 (or =dhcp)",
        ),
        (
            "iptables -A INPUT -i 'a\"b' -j DROP\n",
            "\"a\\\"b\" is no interface that can be written into a configuration; rename it",
        ),
    ] {
        let refused = import(text, &[]).map_err(|error| error.to_string());
        assert_eq!(refused.err().as_deref(), Some(why), "{text}");
    }
}

/// What is somewhere else than in table filter, and still keeps packets back.
#[test]
fn what_other_tables_keep_back_is_not_opened() -> Done {
    let zones = [
        "eth0=external,203.0.113.7/24",
        "eth1=private,192.168.5.1/24",
    ];
    let zones: Vec<ZoneHint> = zones
        .iter()
        .map(|zone| ZoneHint::parse(zone))
        .collect::<Result<_, _>>()?;
    let forward = "iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 8443 -j DNAT --to-destination 192.168.5.9:443\n\
                   iptables -A FORWARD -i eth0 -d 192.168.5.9 -p tcp --dport 443 -j ACCEPT\n\
                   iptables -P FORWARD DROP; iptables -P INPUT DROP\n";
    for (more, allows, forwards) in [
        ("", 1, 1),
        ("echo 0 > /proc/sys/net/ipv4/ip_forward\n", 0, 0),
        ("iptables -t mangle -P FORWARD DROP\n", 0, 0),
        (
            "iptables -t raw -A PREROUTING -d 203.0.113.7 -p tcp --dport 8443 -m limit --limit 9/min -j DROP\n",
            1,
            0,
        ),
        ("iptables -t raw -A PREROUTING -i eth0 -j NOTRACK\n", 0, 0),
        (
            "iptables -t nat -F; iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 443 -d www.example.org -j DNAT --to-destination 192.168.5.9\n",
            1,
            0,
        ),
        (
            "iptables -t nat -F; iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 9443 -m mac --mac-source 00:11:22:33:44:55 -j DNAT --to-destination 192.168.5.9:443\n",
            1,
            0,
        ),
        ("iptables -I FORWARD -p sctp --dport 5 -j DROP\n", 1, 1),
    ] {
        let text = import(&format!("{forward}{more}"), &zones)?.text;
        assert_eq!(text.matches("[[allow]]").count(), allows, "{more}{text}");
        assert_eq!(
            text.matches("[[forwards]]").count(),
            forwards,
            "{more}{text}"
        );
    }
    let sctp = "iptables -A FORWARD -p sctp --dport 5 -j DROP\niptables -A FORWARD -i eth1 -p sctp -j ACCEPT\n";
    assert!(!import(sctp, &zones)?.text.contains("[[allow]]"));
    let refused =
        import("iptables -t nat -P PREROUTING DROP\n", &zones).map_err(|error| error.to_string());
    assert_eq!(
        refused.err().as_deref(),
        Some("line 1: table nat is not for dropping; its policies are ACCEPT")
    );
    Ok(())
}

/// Whatever a text is, it is imported or refused: cut off at any place, and with anything within.
/// An address without ports is a host's where it is that both ways.
#[test]
fn an_address_is_a_hosts_both_ways_or_not_at_all() -> Done {
    let external = "eth0=external,203.0.113.2/24,203.0.113.6/24,203.0.113.7/24";
    let zones: Vec<ZoneHint> = [external, "eth1=private,192.168.5.1/24"]
        .iter()
        .map(|zone| ZoneHint::parse(zone))
        .collect::<Result<_, _>>()?;
    let passes = "iptables -P INPUT DROP; iptables -P FORWARD DROP\n\
                  iptables -A FORWARD -i eth0 -d 192.168.5.9 -p tcp --dport 80 -j ACCEPT\n\
                  iptables -A FORWARD -i eth1 -o eth0 -j ACCEPT\n";
    let whole = "iptables -t nat -A PREROUTING -i eth0 -d 203.0.113.6 -j DNAT --to-destination 192.168.5.9\n";
    let leaves =
        "iptables -t nat -A POSTROUTING -s 192.168.5.9 -o eth0 -j SNAT --to-source 203.0.113.6\n";
    let masked = "iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\n";
    let other = leaves.replace(".6", ".7");
    let some = leaves.replace("-o eth0", "-o eth0 -p tcp");
    let anywhere = leaves.replace("-o eth0 ", "");
    let own = whole.replace("113.6", "113.2");
    let all = whole.replace("-d 203.0.113.6 ", "");
    let ports = "iptables -t nat -A PREROUTING -i eth0 -d 203.0.113.6,203.0.113.7 -p tcp --dport 80 -j DNAT --to-destination 192.168.5.9\n";
    let both_ways =
        "no rule of POSTROUTING has all that leaves from 192.168.5.9 by eth0 leave with";
    let some_of_it = "it is about some of zone";
    for (script, forwards, why) in [
        ([whole, leaves, masked].concat(), 1, vec![]),
        (
            [whole, masked, leaves].concat(),
            0,
            vec![both_ways, some_of_it],
        ),
        ([whole, masked].concat(), 0, vec![both_ways]),
        ([whole, &other].concat(), 0, vec![both_ways, some_of_it]),
        (
            [whole, &some].concat(),
            0,
            vec![both_ways, "whatever service it is"],
        ),
        (
            [whole, &anywhere].concat(),
            0,
            vec![both_ways, "-o INTERFACE"],
        ),
        ([leaves, masked].concat(), 0, vec![some_of_it]),
        (
            [own.as_str(), masked].concat(),
            0,
            vec!["the first address of zone eth0"],
        ),
        (
            [all.as_str(), masked].concat(),
            0,
            vec!["give the rule -d ADDRESS"],
        ),
        ([ports, masked].concat(), 2, vec![]),
        (
            [ports, whole, leaves, masked].concat(),
            2,
            vec!["takes some of it before", some_of_it],
        ),
    ] {
        let made = import(&[passes, script.as_str()].concat(), &zones)?;
        let (text, left_out) = (made.text, made.left_out);
        let found = text.matches("[[forwards]]").count();
        assert_eq!(found, forwards, "{script}{text}");
        assert_eq!(
            text.matches("\nat   = ").count(),
            forwards,
            "{script}{text}"
        );
        assert_eq!(left_out.len(), why.len(), "{script}{text}");
        for why in why {
            assert!(text.contains(why), "{script}{why}: {text}");
        }
        camfw::plan(&Source::new("config.toml", text.clone()), &Answers::new())
            .map_err(|refusal| format!("{script}{text}{refusal}"))?;
    }
    Ok(())
}

#[test]
fn no_text_ends_the_program() -> Done {
    let zone = ZoneHint::parse("eth0=external,192.168.0.2/24")?;
    for case in fs::read_dir(folder())? {
        let case = case?.path();
        for name in ["script", "dump"] {
            let Ok(text) = fs::read_to_string(case.join(name)) else {
                continue;
            };
            for (at, more) in (0..text.len()).step_by(13).zip(
                ["", "é", "\"", "$", "\\", "!", "\n", "=", "\u{0}"]
                    .iter()
                    .cycle(),
            ) {
                let (before, after) = (
                    text.get(..at).unwrap_or_default(),
                    text.get(at..).unwrap_or_default(),
                );
                let _ = import(before, std::slice::from_ref(&zone));
                let _ = import(
                    &format!("{before}{more}{after}"),
                    std::slice::from_ref(&zone),
                );
            }
        }
    }
    let refused = import("*filter\né\n", &[]).map_err(|error| error.to_string());
    assert_eq!(
        refused.err().as_deref(),
        Some("line 2: it is no line of iptables-save")
    );
    Ok(())
}

/// Loops within loops are given up, and chains that go in circles.
#[test]
fn nothing_goes_on_without_end() {
    let loops = "for a in 1 2 3 4 5 6 7 8 9 10; do ".repeat(8) + "\n" + &"done;".repeat(8);
    let refused = import(&loops, &[]).map_err(|error| error.to_string());
    assert_eq!(
        refused.err().as_deref(),
        Some("line 1: more than 8192 commands or words, with its loops written out")
    );
    let circle = "iptables -N A; iptables -A A -j A; iptables -A A -j A\niptables -A INPUT -i eth0 -j A\niptables -A INPUT -i eth0 -j ACCEPT\n";
    let zone = ZoneHint::parse("eth0=192.168.5.1/24")
        .into_iter()
        .collect::<Vec<_>>();
    let imported = import(circle, &zone).map(|imported| imported.text);
    assert!(imported.is_ok_and(|text| !text.contains("[[allow]]")));
}

/// The program: what it exits with, and which flags are of what.
#[test]
fn the_exit_code_says_whether_all_came_over() -> Done {
    let article = folder().join("article/script");
    let article = article.to_str().ok_or("not UTF-8")?;
    let zones = [
        "--zone",
        "eth0=192.168.0.2/24",
        "--zone",
        "eth1=192.168.8.1/24",
        "--zone",
        "eth2=192.168.5.200/24",
    ];
    let pi = folder().join("pi/script");
    let pi = pi.to_str().ok_or("not UTF-8")?;
    for (arguments, code, said) in [
        ([&["script", article][..], &zones[..]].concat(), 0, ""),
        (
            vec!["script", pi, "--zone", "eth0=192.168.1.20/24,external"],
            1,
            "camfw-import: 2 lines, in whole or in part, left out; a comment says why of each\n",
        ),
        (
            vec!["script", article],
            2,
            ": no line says the router's own address on eth1, eth2; give it for each",
        ),
        (
            vec!["script", article, "--zone", "eth1"],
            2,
            "camfw-import: --zone: write it as eth1=camera",
        ),
        (
            vec!["script", article, "--camera", "porch"],
            2,
            "camfw-import: script takes --zone alone; the other flags are of mud\n",
        ),
        (
            vec!["mud", article, "--camera", "porch", "--zone", "eth1=dhcp"],
            2,
            "camfw-import: --zone is of script; mud takes --external and --local\n",
        ),
        (
            vec!["shell", article],
            2,
            "camfw-import: \"shell\" is nothing that is imported here; write mud or script\n",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_camfw-import"))
            .args(&arguments)
            .output()?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(
            told.contains(said) && (code > 0 || told.is_empty()),
            "{arguments:?}: {told}"
        );
        assert_eq!(output.stdout.is_empty(), code == 2, "{arguments:?}");
    }
    Ok(())
}

#[test]
fn a_zone_that_is_none_is_refused() {
    let shape = "write it as eth1=camera,192.168.8.1/24: a role, the router's own address, the next router, its metric, a name";
    for (text, why) in [
        ("eth1", shape.to_owned()),
        ("e th=dhcp", format!("\"e th\" is no interface; {shape}")),
        (
            "eth1=Camera",
            format!("\"Camera\" is none of what a zone has; {shape}"),
        ),
        (
            "eth1=any",
            format!("\"any\" is none of what a zone has; {shape}"),
        ),
        (
            "eth1=dhcp,10.0.0.1/24",
            format!("eth1 has addresses, or has them brought; {shape}"),
        ),
    ] {
        assert_eq!(ZoneHint::parse(text), Err(why));
    }
}

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        // Knuth's MMIX; the upper bits are the better ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// A rule's conditions.
    fn conditions(&mut self, chain: &str) -> String {
        let mut rule = String::new();
        let interfaces = ["eth0", "eth1", "eth2", "eth+"];
        if chain != "OUTPUT" && self.below(3) > 0 {
            rule += self.one(&["", "", "", " !"]);
            rule += &format!(" -i {}", self.one(&interfaces));
        }
        if !["INPUT", "PREROUTING"].contains(&chain) && self.below(3) > 0 {
            rule += &format!(" -o {}", self.one(&interfaces));
        }
        let addresses = [
            "192.168.8.0/24",
            "192.168.8.7",
            "192.168.5.0/24",
            "192.168.5.200",
            "192.168.0.0/16",
            "192.168.0.2",
            "192.168.8.1",
            "8.8.8.8",
            "203.0.113.0/24",
            "0.0.0.0/0",
            "224.0.0.0/4",
            "10.1.0.9",
        ];
        for option in [" -s", " -d"] {
            if self.below(3) == 0 {
                rule += self.one(&["", "", " !"]);
                rule += &format!("{option} {}", self.one(&addresses));
            }
        }
        rule += self.one(&[
            "",
            "",
            " -p tcp --dport 22",
            " -p tcp --dport 80",
            " -p tcp --dport 1:1024",
            " -p udp --dport 53",
            " -p udp --dport 67",
            " -p udp --sport 123 --dport 123",
            " -p tcp --sport 1024:65535 --dport 443",
            " -p udp -m multiport --dports 53,123,1900,5000:6000",
            " ! -p tcp",
            " -p icmp",
            " -p icmp --icmp-type 8",
            " -p tcp ! --dport 25",
            " -p esp",
            " -p tcp --syn",
            " -p tcp ! --syn",
            " -p udp",
            " -p tcp",
        ]);
        rule += self.one(&[
            "",
            "",
            "",
            "",
            " -m state --state NEW",
            " -m conntrack ! --ctstate INVALID",
            " -m conntrack --ctstate ESTABLISHED",
            " -m limit --limit 5/min",
            " -m conntrack --ctstate NEW,RELATED",
            " -m mac --mac-source 00:11:22:33:44:55",
        ]);
        rule
    }

    fn dump(&mut self) -> String {
        let mut text = String::from("*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n");
        for _ in 0..self.below(3) {
            let rule = self.conditions("PREROUTING");
            let target = match rule.contains("-p tcp") || rule.contains("-p udp ") {
                true => self.one(&[
                    "DNAT --to-destination 192.168.8.7:80",
                    "DNAT --to-destination 192.168.5.9",
                    "REDIRECT",
                    "REDIRECT --to-ports 22",
                    "ACCEPT",
                ]),
                false => self.one(&["DNAT --to-destination 192.168.8.7", "ACCEPT"]),
            };
            text += &format!("-A PREROUTING{rule} -j {target}\n");
        }
        // One public address of several, with ports or without.
        let some = self.one(&["", "", " -p tcp --dport 80"]);
        let at = self.below(2) > 0;
        if at {
            let rule = format!("-A PREROUTING -i eth0 -d 192.168.0.3{some}");
            text += &format!("{rule} -j DNAT --to-destination 192.168.5.9\n");
            text += self.one(&[
                "",
                "-A POSTROUTING -s 192.168.5.9 -o eth0 -j SNAT --to-source 192.168.0.3\n",
            ]);
        }
        text += self.one(&[
            "",
            "-A POSTROUTING -o eth0 -j MASQUERADE\n",
            "-A POSTROUTING -o eth0 -j SNAT --to-source 192.168.0.2\n",
        ]);
        text += "COMMIT\n*raw\n:PREROUTING ACCEPT [0:0]\n";
        if self.below(3) == 0 {
            let rule = self.conditions("PREROUTING");
            text += &format!("-A PREROUTING{rule} -j DROP\n");
        }
        text += "COMMIT\n*filter\n";
        for chain in ["INPUT", "FORWARD", "OUTPUT"] {
            text += &format!(":{chain} {} [0:0]\n", self.one(&["DROP", "DROP", "ACCEPT"]));
        }
        text += ":OWN - [0:0]\n";
        if at {
            text += "-A FORWARD -i eth0 -d 192.168.5.9 -p tcp --dport 80 -j ACCEPT\n";
        }
        for _ in 0..14 {
            let chain = self.one(&[
                "INPUT", "INPUT", "FORWARD", "FORWARD", "FORWARD", "OUTPUT", "OWN",
            ]);
            let rule = self.conditions(if chain == "OWN" { "INPUT" } else { chain });
            let target = match chain {
                "OWN" => self.one(&["ACCEPT", "ACCEPT", "DROP", "RETURN"]),
                "OUTPUT" => self.one(&["ACCEPT", "ACCEPT", "DROP"]),
                _ => self.one(&["ACCEPT", "ACCEPT", "ACCEPT", "DROP", "REJECT", "OWN", "LOG"]),
            };
            text += &format!("-A {chain}{rule} -j {target}\n");
        }
        text + "COMMIT\n"
    }
}

/// The same of rules that nobody wrote. `CASES` and `SEED` say how many and which.
#[test]
fn no_random_rules_come_over_as_more_than_they_are() -> Done {
    let number = |name, default| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let zones = [
        "eth0=external,192.168.0.2/24,192.168.0.3/24,192.168.0.1",
        "eth1=camera,192.168.8.1/24",
        "eth2=private,192.168.5.200/24",
    ];
    let zones: Vec<ZoneHint> = zones
        .iter()
        .map(|zone| ZoneHint::parse(zone))
        .collect::<Result<_, _>>()?;
    let (mut lines, mut at) = (0, 0);
    for seed in 0..number("CASES", 12) {
        let seed = number("SEED", 1000) + seed;
        let dump = Dice(seed).dump();
        let imported = import(&dump, &zones).map_err(|error| format!("{seed}: {error}\n{dump}"))?;
        lines += imported.text.matches("[[allow]]").count();
        at += imported.text.matches("\nat   = ").count();
        no_more_than(&with_answers(&dump), &imported.text)
            .map_err(|why| format!("{seed}: {why}\n{dump}\n{}", imported.text))?;
    }
    assert!(lines > 12 && at > 0, "{lines} lines, {at} at one address");
    Ok(())
}

#[test]
fn metrics_of_routes_come_over() -> Done {
    let zones = [
        "eth0=203.0.113.2/24",
        "eth2=private,192.168.5.1/24",
        "eth5=external,lte,192.168.100.2/24",
        "eth6=external,dhcp,300,modem",
    ];
    let zones: Result<Vec<ZoneHint>, String> = zones.into_iter().map(ZoneHint::parse).collect();
    let script = "ip route add default via 203.0.113.1 dev eth0 metric 10\n\
        route add default gw 192.168.100.1 metric 100 dev eth5\n\
        ip route add 10.9.0.0/16 via 192.168.5.9 metric 7\n";
    let text = import(script, &zones?)?.text;
    for part in [
        "gateway   = \"203.0.113.1\"\nmetric    = 10\n",
        "gateway   = \"192.168.100.1\"\nmetric    = 100\n",
        "address   = \"dhcp\"\nmetric    = 300\n",
        "to  = \"10.9.0.0/16\"\nvia = \"192.168.5.9\"\nmetric = 7\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    camfw::plan(&Source::new("camfw.toml", &text), &Answers::new())
        .map_err(|refusal| refusal.to_string())?;
    let zones = [ZoneHint::parse("eth0=203.0.113.2/24")?];
    let large = "ip route add default via 203.0.113.1 metric 20000\n";
    let text = import(large, &zones)?.text;
    let why = "# Left out: line 1: route to 0.0.0.0/0: the metric of a zone's default route is 9999 at most";
    assert!(
        text.contains(why) && !text.contains("metric    ="),
        "{text}"
    );
    let refused = ZoneHint::parse("eth0=external,dhcp,10000").err();
    assert_eq!(
        refused.as_deref(),
        Some("10000 is no metric of a zone; write 0 to 9999")
    );
    Ok(())
}

#[test]
fn the_program_says_which_version_it_is() -> Done {
    for flag in ["--version", "-V"] {
        let program = env!("CARGO_BIN_EXE_camfw-import");
        let said = Command::new(program).arg(flag).output()?;
        assert!(said.status.success());
        let version = concat!("camfw-import ", env!("CARGO_PKG_VERSION"));
        assert!(String::from_utf8(said.stdout)?.starts_with(version));
    }
    Ok(())
}
