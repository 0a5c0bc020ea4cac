//! What is proven of each golden, and what is found where something is wrong.

mod support;

use std::error::Error;
use std::fs;
use std::path::Path;

use camfw::family::{Families, IpFamily};
use camfw::field::PortRange;
use camfw::netfilter::{Ruleset, TableName, read, restore_text};
use camfw::policy::Answers;
use camfw::prove;
use camfw::resolved_hosts::ResolvedHosts;
use camfw::source::Source;

#[test]
fn every_golden_is_proven() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut proven = 0;
    let mut broken = Vec::new();
    for case in fs::read_dir(root)? {
        let case = case?.path();
        let plan = camfw::plan_at(
            &support::case_source(&case)?,
            &Answers::new(),
            &support::local_time,
        )?;
        for claim in prove::claims(&plan.policy, &plan.rules) {
            if !claim.answer.holds() {
                broken.push(format!("{}: {claim}", case.display()));
            }
            proven += 1;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(proven > 100, "{proven}");
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds text against a file of tests/prove; `UPDATE=1` writes it.
fn expect(name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let path = root().join("tests/prove").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text)?;
    }
    assert_eq!(fs::read_to_string(&path)?, text, "{name}");
    Ok(())
}

/// The rule that nearly everybody has, in the place of ours, is found out.
#[test]
fn related_and_established_in_one_rule_is_found() -> Result<(), Box<dyn Error>> {
    for (case, family) in [("camera-router", IpFamily::V4), ("ipv6-same", IpFamily::V6)] {
        let text = fs::read_to_string(root().join("tests/golden").join(case).join("config.toml"))?;
        let plan = camfw::plan(&Source::new("config.toml", text), &Answers::new())?;
        let mut rules = plan.rules.clone();
        let ours = restore_text(rules.get(family), &TableName::ALL);
        let theirs = ours.replace("--ctstate ESTABLISHED ", "--ctstate RELATED,ESTABLISHED ");
        *rules.get_mut(family) = read(&theirs)?;
        let claims = prove::claims(&plan.policy, &rules);
        let found: Vec<String> = claims
            .iter()
            .filter(|claim| claim.what.contains("by RELATED or ESTABLISHED"))
            .map(|claim| format!("{claim}\n"))
            .filter(|line| !line.starts_with("holds"))
            .collect();
        expect(&format!("related-{case}.txt"), &found.concat())?;
        assert!(found.len() > 2, "{found:?}");
    }
    Ok(())
}

/// Conntrack takes the SYN of a connection that it knows for a part of it.
#[test]
fn a_rule_that_lets_a_known_connection_be_opened_anew_is_found() -> Result<(), Box<dyn Error>> {
    let plan = example()?;
    let ours = restore_text(&plan.rules.v4, &TableName::ALL);
    let broken = |theirs: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let mut rules = plan.rules.clone();
        rules.v4 = read(theirs)?;
        let claims = prove::claims(&plan.policy, &rules).into_iter();
        let broken = claims.filter(|claim| claim.answer != prove::ClaimResult::Holds);
        Ok(broken.map(|claim| claim.what).collect())
    };
    assert!(broken(&ours)?.is_empty());
    let any = ours.replace(
        "! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate ESTABLISHED",
        "-m conntrack --ctstate ESTABLISHED",
    );
    let found = broken(&any)?;
    for claim in [
        "only what the file allows, and what belongs to it, gets through to the router",
        "only what the file allows, and what belongs to it, gets through between zones",
        "what camera opens is no more than its bound, of each address and of the zone",
        REOPENED,
    ] {
        assert!(found.iter().any(|it| it == claim), "{claim}: {found:?}");
    }
    let uncounted = ours.replace(
        "--ctstate NEW -m conntrack --ctstatus CONFIRMED",
        "--ctstatus CONFIRMED",
    );
    assert_eq!(
        broken(&uncounted)?,
        ["what camera opens is no more than its bound, of each address and of the zone"]
    );
    for other in ["--ctexpire 0:9", "--ctexpire 0:10 -m limit --limit 1/sec"] {
        let found = broken(&ours.replace("--ctexpire 0:10", other))?;
        assert!(found.iter().any(|it| it == REOPENED), "{other}: {found:?}");
    }
    Ok(())
}

const REOPENED: &str = "a connection that was reset is not opened anew while the kernel has it";

fn example() -> Result<camfw::plan::Plan, Box<dyn Error>> {
    let text = fs::read_to_string(root().join("examples/camera-router.toml"))?;
    let source = Source::new("camera-router.toml", text);
    Ok(camfw::plan(&source, &Answers::new())?)
}

fn article() -> Result<Ruleset, Box<dyn Error>> {
    let file = root().join("examples/auditing/article.rules");
    Ok(read(&fs::read_to_string(file)?)?)
}

/// The README lists how the example differs from the article's script; this is
/// all of it: nothing more gets through, and what no longer does has a source
/// that cannot be, goes where no line of the file lets it, or belongs to a
/// connection that nobody where it comes from has.
#[test]
fn the_example_differs_from_the_article_as_it_is_said() -> Result<(), Box<dyn Error>> {
    let found = prove::compare(&article()?, &example()?.rules.v4, IpFamily::V4);
    assert!(!found.more && !found.too_large);
    assert!(
        found
            .changes
            .iter()
            .all(|change| change.outcome != prove::VerdictOutcome::LetThrough)
    );
    // The router's own errors have a rate, what cameras open has a bound, and no connection
    // that was reset is opened anew.
    let all = found.changes.iter().chain(&found.doubts);
    let text: Vec<String> = all.map(|it| format!("{it}\n")).collect();
    expect("article.txt", &text.concat())
}

#[test]
fn nothing_changes_from_a_ruleset_to_itself() -> Result<(), Box<dyn Error>> {
    let rules = example()?.rules.v4;
    let same = prove::compare(&rules, &rules, IpFamily::V4);
    assert_eq!(same, prove::Comparison::default());
    let dumped = article()?;
    assert!(!prove::differ(&dumped, &dumped, IpFamily::V4));
    Ok(())
}

#[test]
fn the_matrix_of_the_example() -> Result<(), Box<dyn Error>> {
    let plan = example()?;
    let behind = prove::behind(&plan.policy);
    let about = prove::MatrixQuestion {
        protocol: Some(6),
        port: Some(80),
        ..prove::MatrixQuestion::default()
    };
    let matrix = prove::matrix(&plan.rules.v4, IpFamily::V4, &behind, &about);
    let matrix = matrix.ok_or("no room")?;
    expect("matrix.txt", &matrix.text())?;
    expect("matrix.json", &matrix.json(None))
}

/// What iptables-save of 1.4 to 1.8 writes, legacy and nft, with counters and
/// without, and with things that nobody knows.
#[test]
fn dumps_of_every_age_mean_the_same() -> Result<(), Box<dyn Error>> {
    let body = |rules: &str| {
        format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
        )
    };
    for (old, new) in [
        (
            "-A INPUT -s ! 10.0.0.0/255.0.0.0 -j ACCEPT",
            "-A INPUT ! -s 10.0.0.0/8 -j ACCEPT",
        ),
        (
            "-A INPUT -i ! eth0 -p ! tcp -j ACCEPT",
            "-A INPUT ! -i eth0 ! -p tcp -j ACCEPT",
        ),
        (
            "-A INPUT -p tcp -m tcp --dport ! 22 -j ACCEPT",
            "-A INPUT -p tcp -m tcp ! --dport 22 -j ACCEPT",
        ),
        (
            "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
            "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
        (
            "[12:345] -A INPUT -p 6 -j ACCEPT",
            "-A INPUT -p tcp -j ACCEPT",
        ),
        (
            "-A INPUT -p icmp -m icmp --icmp-type echo-request -j ACCEPT",
            "-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT",
        ),
        (
            "-A INPUT -p icmp -m icmp --icmp-type any -j ACCEPT",
            "-A INPUT -p icmp -j ACCEPT",
        ),
        (
            "-A INPUT -s 10.1.2.3 -j ACCEPT",
            "-A INPUT -s 10.1.2.3/32 -j ACCEPT",
        ),
        (
            "-A INPUT -p tcp -m tcp --dport :1023 -m comment --comment \"a -j DROP\" -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 0:1023 -j ACCEPT",
        ),
        (
            "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
            "-A INPUT -j DROP",
        ),
        (
            "-A INPUT -j NFLOG --nflog-group 3\n-A INPUT -j ACCEPT",
            "-A INPUT -j ACCEPT",
        ),
    ] {
        let (old, new) = (
            read(&body(&format!("{old}\n")))?,
            read(&body(&format!("{new}\n")))?,
        );
        let found = prove::compare(&old, &new, IpFamily::V4);
        // A later fragment is in doubt where ports are asked for, and only there.
        assert!(found.changes.is_empty(), "{found:?}");
        assert!(
            found
                .doubts
                .iter()
                .all(|doubt| doubt.packets.contains("fragment")),
            "{found:?}"
        );
        // The control: both do something.
        let nothing = read(&body(""))?;
        let same = !prove::differ(&nothing, &new, IpFamily::V4);
        let drops = new == read(&body("-A INPUT -j DROP\n"))?;
        assert_eq!(same, drops);
    }
    Ok(())
}

/// What is not known may match and may not, and that is said.
#[test]
fn what_is_not_known_is_in_doubt() -> Result<(), Box<dyn Error>> {
    let networks = prove::networks("eth1 192.168.8.0/24\n")?;
    for (rules, holds, unknown) in [
        (
            "-A FORWARD -i eth1 ! -s 192.168.8.0/24 -j DROP\n-A FORWARD -m odd --x y -j ACCEPT\n",
            true,
            1,
        ),
        (
            "-A FORWARD -i eth1 ! -s 192.168.8.0/24 -m odd --x y -j DROP\n-A FORWARD -j ACCEPT\n",
            false,
            1,
        ),
        (
            "-A FORWARD -i eth1 ! -s 192.168.8.0/24 -j ODD --z\n-A FORWARD -j ACCEPT\n",
            false,
            1,
        ),
        (
            "-A FORWARD -i eth1 -s 192.168.8.0/24 -m set --match-set good src -j ACCEPT\n",
            true,
            1,
        ),
        (
            "-A FORWARD -i eth1 -m set --match-set good src -j ACCEPT\n",
            false,
            1,
        ),
        (
            "-A FORWARD -i eth1 -m limit --limit 1/sec -j LOG\n",
            true,
            0,
        ),
        (
            "-A FORWARD -m state --state ESTABLISHED -j ACCEPT\n",
            true,
            0,
        ),
        (
            "-A FORWARD ! -i eth0 -s 192.168.0.0/16 -j ACCEPT\n",
            false,
            0,
        ),
    ] {
        let text = format!("*filter\n:FORWARD DROP [0:0]\n:INPUT DROP [0:0]\n{rules}COMMIT\n");
        let ruleset = read(&text)?;
        let chain = (TableName::Filter, "FORWARD".to_owned());
        for chain in [None, Some(&chain)] {
            let found = prove::findings(&ruleset, IpFamily::V4, &networks, chain);
            let found = found.ok_or("no such chain")?;
            assert_eq!(found[0].answer().holds(), holds, "{rules}{}", found[0]);
        }
        assert_eq!(
            prove::unknown(&ruleset, IpFamily::V4).len(),
            unknown,
            "{rules}"
        );
    }
    Ok(())
}

/// Errors about others' connections, as people's rules let them through or not.
#[test]
fn what_rules_let_through_by_related_is_found() -> Result<(), Box<dyn Error>> {
    let networks = prove::networks("eth0 any !10.0.0.0/8\neth1 10.1.0.0/16\neth2 10.2.0.0/16\n")?;
    let about = "-m conntrack --ctstate RELATED";
    for (rules, by_eth1) in [
        // Everybody's; of an article, of ufw, of docker, of firehol.
        (
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            false,
        ),
        (
            "-A FORWARD -m state --state ESTABLISHED,RELATED -j ACCEPT",
            false,
        ),
        (
            "-A FORWARD -o eth2 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            false,
        ),
        (
            "-A FORWARD -p icmp -m icmp --icmp-type 3 -m state --state RELATED -j ACCEPT",
            false,
        ),
        ("-A INPUT -p icmp -j ACCEPT", false),
        // By other interfaces, other types, or what is no error.
        (
            "-A FORWARD -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            true,
        ),
        (
            "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            true,
        ),
        (
            "-A FORWARD -p tcp -m conntrack --ctstate RELATED -j ACCEPT",
            true,
        ),
        ("-A FORWARD -p icmp -m icmp --icmp-type 8 -j ACCEPT", true),
        // By the ends, and by what is not enough of them.
        (
            &format!("-A FORWARD -i eth1 {about} --ctorigsrc 10.1.0.0/16 -j ACCEPT"),
            true,
        ),
        (
            &format!("-A FORWARD -i eth1 {about} --ctreplsrc 10.1.0.0/16 --ctdir REPLY -j ACCEPT"),
            true,
        ),
        (
            &format!("-A FORWARD -i eth1 {about} --ctorigsrc 10.0.0.0/8 -j ACCEPT"),
            false,
        ),
        (
            &format!("-A FORWARD -i eth1 {about} --ctdir REPLY -j ACCEPT"),
            false,
        ),
    ] {
        let text = format!("*filter\n:FORWARD DROP [0:0]\n:INPUT DROP [0:0]\n{rules}\nCOMMIT\n");
        let found = prove::findings(&read(&text)?, IpFamily::V4, &networks, None);
        let found = found.ok_or("no such chain")?;
        let is_it = |it: &&prove::Finding| {
            it.claim == prove::ForeignClaim::Related && it.interface == "eth1"
        };
        let found = found.iter().find(is_it).ok_or("not looked for")?;
        assert_eq!(found.answer().holds(), by_eth1, "{rules}: {found}");
    }
    Ok(())
}

/// A file that promises what its own lines do not keep.
#[test]
fn a_guarantee_that_is_not_kept_is_shown_by_a_packet() -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(root().join("examples/camera-router.toml"))?;
    for (guarantee, broken) in [
        ("never = { from = \"private\", to = \"camera\" }", true),
        (
            "never = { from = \"private\", to = \"camera\", service = \"ssh\" }",
            false,
        ),
        ("never = { from = \"external\", to = \"any\" }", false),
        ("never = { from = \"external\", to = \"router\" }", true),
        (
            "always = { from = \"private\", to = \"router\", service = \"ssh\" }",
            false,
        ),
        (
            "always = { from = \"camera\", to = \"router\", service = \"ssh\" }",
            true,
        ),
    ] {
        let text = format!("{text}\n[[guarantees]]\n{guarantee}\n");
        let plan = camfw::plan(&Source::new("camfw.toml", text), &Answers::new())?;
        let found = broken_claim(&plan);
        assert_eq!(found.is_some(), broken, "{guarantee}: {found:?}");
        assert!(found.is_none_or(|found| found.contains("camfw trace --from ")));
    }
    Ok(())
}

fn broken_claim(plan: &camfw::plan::Plan) -> Option<String> {
    prove::broken(&plan.policy, &plan.rules)
}

fn case(name: &str, more: &str) -> Result<camfw::plan::Plan, Box<dyn Error>> {
    let text = fs::read_to_string(root().join("tests/prove").join(name))?;
    let source = Source::new(name, text + more);
    Ok(camfw::plan(&source, &Answers::new())?)
}

/// The rules let the search for devices through, and no router forwards it.
#[test]
fn a_search_by_multicast_is_never_guaranteed_across_the_router() -> Result<(), Box<dyn Error>> {
    let found = broken_claim(&case("discovery.toml", "")?).unwrap_or_default();
    assert!(
        found.contains("does not hold: home always reaches camera for onvif-discovery")
            && found.contains("--dst 239.255.255.250")
            && found.contains("forwards no multicast"),
        "{found}"
    );
    // The controls: another service, and the router itself, which asks a group by
    // its own.
    for (more, holds) in [
        (
            "[[allow]]\nfrom = \"home\"\nto = \"router\"\nservice = \"onvif-discovery\"\n[[guarantees]]\nalways = { from = \"home\", to = \"router\", service = \"onvif-discovery\" }\n",
            true,
        ),
        (
            "[[allow]]\nfrom = \"home\"\nto = \"camera\"\nservice = \"http\"\n[[guarantees]]\nalways = { from = \"home\", to = \"camera\", service = \"http\" }\n",
            true,
        ),
        (
            "[[guarantees]]\nalways = { from = \"home\", to = \"camera\", service = \"http\" }\n",
            false,
        ),
    ] {
        let text = fs::read_to_string(root().join("tests/prove/discovery.toml"))?;
        let text = text.replace("[[guarantees]]\nalways", "[[guarantees]]\nnever");
        let text = text.replace(
            "never = { from = \"home\", to = \"camera\", service = \"onvif-discovery\" }",
            "never = { from = \"camera\", to = \"home\" }",
        );
        let plan = camfw::plan(&Source::new("camfw.toml", text + more), &Answers::new())?;
        assert_eq!(broken_claim(&plan).is_none(), holds, "{more}");
    }
    Ok(())
}

/// A connection that a forward sends on is of the port that it was opened to, and
/// reaches whom it is sent to.
#[test]
fn a_forward_is_in_the_matrix() -> Result<(), Box<dyn Error>> {
    let plan = case("forward.toml", "")?;
    let behind = prove::behind(&plan.policy);
    let of = |port| -> Result<prove::Matrix, Box<dyn Error>> {
        let about = prove::MatrixQuestion {
            protocol: Some(6),
            port,
            ..prove::MatrixQuestion::default()
        };
        let matrix = prove::matrix(&plan.rules.v4, IpFamily::V4, &behind, &about);
        Ok(matrix.ok_or("no room")?)
    };
    let reaches = |matrix: &prove::Matrix, address: &str| {
        let class = matrix
            .classes
            .iter()
            .position(|class| class.ranges.iter().any(|range| range == address));
        let others = matrix.reaches.iter().take(matrix.classes.len());
        class.is_some_and(|class| others.clone().any(|row| row[class]))
    };
    let forwarded = of(Some(8443))?;
    assert!(reaches(&forwarded, "192.168.5.20"), "{}", forwarded.text());
    assert!(!reaches(&forwarded, "192.168.5.21"), "{}", forwarded.text());
    for shown in [forwarded.text(), forwarded.json(None)] {
        assert!(
            shown.contains("to 198.51.100.2, tcp, port 8443")
                && shown.contains("DNAT --to-destination 192.168.5.20:443"),
            "{shown}"
        );
    }
    assert_eq!(of(Some(8444))?.sent_on, []);
    assert!(of(None)?.text().contains("sent on: "));
    Ok(())
}

/// The proof takes nothing from the compiler: a fault there would be proven right.
/// A range leads to the same ports of its host, and not to one of them, to others or to fewer.
#[test]
fn a_forward_of_a_range_to_other_ports_is_found() -> Result<(), Box<dyn Error>> {
    let path = root().join("tests/golden/forwards-ranges/config.toml");
    let source = Source::new("config.toml", fs::read_to_string(path)?);
    let plan = camfw::plan(&source, &Answers::new())?;
    let ours = restore_text(&plan.rules.v4, &TableName::ALL);
    let range = "--dport 50000:50100 -m comment --comment \"config.toml:46 forward\" -j DNAT";
    let to = "--to-destination 192.168.8.110";
    for (was, is) in [
        (format!("{range} {to}\n"), format!("{range} {to}:50000\n")),
        (format!("{range} {to}\n"), format!("{range} {to}:443\n")),
        (
            format!("{range} {to}\n"),
            format!("{range} --to-destination 192.168.9.30\n"),
        ),
        (range.to_owned(), range.replace("50000:", "50001:")),
    ] {
        assert!(ours.contains(&was), "{was}");
        let mut rules = plan.rules.clone();
        rules.v4 = read(
            &ours
                .replace(&was, &is)
                .replace("DNAT 192", "DNAT --to-destination 192"),
        )?;
        let broken = prove::claims(&plan.policy, &rules);
        let mut broken = broken.iter().filter(|claim| !claim.answer.holds());
        let broken = broken.next().ok_or(is)?.to_string();
        assert!(broken.contains("192.168."), "{broken}");
    }
    Ok(())
}

#[test]
fn the_proof_takes_nothing_from_the_compiler() -> Result<(), Box<dyn Error>> {
    let mut looked_at = 0;
    let mut folders = vec![root().join("src/prove")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    for path in files {
        let text = fs::read_to_string(&path)?;
        assert!(!text.contains("compile::"), "{}", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 10);
    // The control: others do.
    assert!(fs::read_to_string(root().join("src/plan/mod.rs"))?.contains("compile::"));
    Ok(())
}

/// What somebody put before the rules of a policy and copies packets elsewhere.
#[test]
fn a_copy_breaks_what_the_file_says() -> Result<(), Box<dyn Error>> {
    let plan = example()?;
    let rules = camfw::cli::show::rules(&plan.rules.v4);
    let held = |rules: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let rules = Families {
            v4: read(rules)?,
            v6: plan.rules.v6.clone(),
        };
        let claims = prove::claims(&plan.policy, &rules);
        let broken = claims.iter().filter(|claim| !claim.answer.holds());
        Ok(broken.map(ToString::to_string).collect())
    };
    assert_eq!(held(&rules)?, Vec::<String>::new(), "the control");
    let copied = rules.replacen(
        "COMMIT",
        "-A PREROUTING -i eth1 -j TEE --gateway 192.168.0.9\nCOMMIT",
        1,
    );
    assert!(copied.starts_with("*raw"));
    let broken = held(&copied)?;
    assert!(
        broken
            .iter()
            .any(|line| line.contains("gets through between zones") && line.contains("-j TEE")),
        "{broken:?}"
    );
    Ok(())
}

/// The ports that earlier policies offered are closed, and the proof asks for it.
#[test]
fn a_port_that_was_once_offered_stays_closed() -> Result<(), Box<dyn Error>> {
    let example = fs::read_to_string(root().join("examples/camera-router.toml"))?;
    for mode in ["drop", "same"] {
        let text = example.replace("mode = \"drop\"", &format!("mode = \"{mode}\""));
        let source = Source::new("config.toml", text);
        let never = camfw::plan(&source, &Answers::new())?;
        let once = [PortRange::port(5000), PortRange::port(123)]
            .into_iter()
            .collect();
        let hosts = ResolvedHosts::default();
        let plan = camfw::plan_with_past(&source, &hosts, &once, true, &support::local_time)?;
        assert_eq!(broken_claim(&plan), None, "{mode}");
        let claims = prove::claims(&plan.policy, &never.rules);
        let broken = claims.iter().find(|claim| !claim.answer.holds());
        let broken = broken.map(ToString::to_string).unwrap_or_default();
        assert!(
            broken.contains("by filter OUTPUT policy"),
            "{mode}: {broken}"
        );
    }
    Ok(())
}

/// What a DHCP server on the router answers passes where the router may send what is listed
/// alone: by these ports, to these addresses and into these zones, and no other packet.
#[test]
fn answers_to_who_has_no_address_pass_and_nothing_beside_them() -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(root().join("tests/golden/leases-listed/config.toml"))?;
    let plan = camfw::plan(&Source::new("config.toml", text), &Answers::new())?;
    assert_eq!(broken_claim(&plan), None);
    for (family, zones, parts) in [
        (
            IpFamily::V4,
            2,
            ["-d 255.255.255.255/32 ", "--sport 67 ", " --dport 68"],
        ),
        (
            IpFamily::V6,
            1,
            ["-d fe80::/10 ", "--sport 547 ", " --dport 546"],
        ),
    ] {
        let ours = restore_text(plan.rules.get(family), &TableName::ALL);
        let is_answer = |line: &&str| line.starts_with("-A OUTPUT") && line.contains(parts[1]);
        let answers: Vec<&str> = ours.lines().filter(is_answer).collect();
        assert_eq!(answers.len(), zones, "{ours}");
        for answer in answers {
            let by = answer.find("-o ").and_then(|at| answer.get(at..at + 8));
            let by = by.ok_or("no interface")?;
            let mut changed: Vec<String> = [by]
                .into_iter()
                .chain(parts)
                .map(|part| answer.replacen(part, "", 1))
                .collect();
            assert!(changed.iter().all(|it| it != answer), "{answer}");
            changed.push(String::new());
            for other in changed {
                let mut rules = plan.rules.clone();
                *rules.get_mut(family) = read(&ours.replacen(answer, &other, 1))?;
                let broken = prove::broken(&plan.policy, &rules);
                assert!(broken.is_some(), "{answer}: {other}");
            }
        }
    }
    Ok(())
}

/// They are no connections that the router opens, unless a guarantee is about them.
#[test]
fn answers_to_who_has_no_address_break_no_guarantee_of_all() -> Result<(), Box<dyn Error>> {
    let zones =
        "[zones.camera]\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\nrole = \"camera\"\n";
    let lines = "[router]\negress = \"listed\"\n[[allow]]\nfrom = \"camera\"\nto = \"router\"\nservice = \"dhcp\"\n";
    for (service, broken) in [
        ("", false),
        (", service = \"http\"", false),
        (", service = { udp = 68 }", true),
    ] {
        let never = format!("never = {{ from = \"router\", to = \"camera\"{service} }}");
        let text = format!("{zones}{lines}[[guarantees]]\n{never}\n");
        let plan = camfw::plan(&Source::new("camfw.toml", text), &Answers::new())?;
        let found = broken_claim(&plan);
        assert_eq!(found.is_some(), broken, "{service}: {found:?}");
    }
    Ok(())
}

/// A second rule counts anew, so that a zone could open twice what its bound says.
#[test]
fn a_bound_that_stands_twice_is_no_bound() -> Result<(), Box<dyn Error>> {
    let plan = example()?;
    let ours = camfw::cli::show::rules(&plan.rules.v4);
    let within = ours
        .lines()
        .find(|line| line.starts_with("-A bound-camera") && line.contains("within the bound"))
        .ok_or("no rule of the bound")?;
    let broken = |text: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let rules = Families {
            v4: read(text)?,
            v6: plan.rules.v6.clone(),
        };
        let claims = prove::claims(&plan.policy, &rules);
        let broken = claims.iter().filter(|claim| !claim.answer.holds());
        Ok(broken.map(|claim| claim.what.clone()).collect())
    };
    let twice = ours.replacen(within, &format!("{within}\n{within}"), 1);
    let found = broken(&twice)?;
    assert!(found.iter().any(|what| what.contains("bound")), "{found:?}");
    assert_eq!(broken(&ours)?, Vec::<String>::new(), "the control");
    Ok(())
}
