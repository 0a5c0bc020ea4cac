//! Guarantees of anyone's rules, and what commands print for programs: `tests/prove/guarantees`
//! has a dump, its networks and guarantees, and what is said of them (`UPDATE=1` writes it).

mod support;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Scratch, as_documented};

type Done = Result<(), Box<dyn Error>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn case() -> PathBuf {
    root().join("tests/prove/guarantees")
}

/// A folder with the files of the case.
fn scratch(name: &str) -> Result<Scratch, Box<dyn Error>> {
    let scratch = Scratch::new(name)?;
    for file in ["rules", "networks", "guarantees.toml"] {
        scratch.write(file, &fs::read_to_string(case().join(file))?)?;
    }
    Ok(scratch)
}

const PROVE: &str = "prove --rules rules --networks networks --guarantees guarantees.toml";

/// Holds what is said against the file, or writes it.
fn golden(name: &str, said: &str) -> Done {
    let path = case().join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, said)?;
    }
    assert_eq!(said, fs::read_to_string(&path)?, "{name}");
    Ok(())
}

#[test]
fn guarantees_are_proven_with_a_packet() -> Done {
    let scratch = scratch("guarantees")?;
    let (code, said) = scratch.camfw(PROVE)?;
    assert_eq!(code, 1, "{said}");
    golden("said.txt", &said)?;
    // Each packet that is shown meets the rule that is named.
    let mut shown = 0;
    for line in said.lines() {
        let Some((_, rest)) = line.split_once(": camfw ") else {
            continue;
        };
        let (packet, outcome) = rest.split_once(": ").ok_or("no verdict")?;
        let outcome = outcome.split(", sent on to").next().unwrap_or_default();
        for networks in ["", " --networks networks"] {
            let (_, traced) = scratch.camfw(&format!("{packet} --rules rules{networks}"))?;
            let last = traced.lines().last().unwrap_or_default();
            assert_eq!(last, outcome, "{line}: {traced}");
        }
        shown += 1;
    }
    assert!(shown >= 5, "{shown}: {said}");
    Ok(())
}

#[test]
fn certain_and_perhaps_are_apart_for_programs() -> Done {
    let scratch = scratch("programs")?;
    let (code, said) = scratch.camfw(&format!("{PROVE} --json"))?;
    assert_eq!(code, 1, "{said}");
    let value = as_documented(&said, "prove")?;
    assert_eq!(value["holds"], false);
    let results = |claim: &str| {
        let claims = value["claims"].as_array().into_iter().flatten();
        let found: Vec<&str> = claims
            .filter(|it| {
                it["claim"]
                    .as_str()
                    .is_some_and(|text| text.starts_with(claim))
            })
            .filter_map(|it| it["result"].as_str())
            .collect();
        found.join(" ")
    };
    for (claim, result) in [
        ("eth1 never opens a connection to eth2", "perhaps-broken"),
        ("eth0 never opens a connection to eth1", "broken"),
        ("eth0 never opens a connection to 192.168.8.0/26", "holds"),
        ("eth2 always reaches router for ssh", "holds"),
        ("eth2 always reaches 192.168.8.110", "holds"),
        ("eth2 always reaches eth0 for dns, smtp", "broken"),
        ("eth1 always reaches router for ntp", "perhaps-broken"),
        ("router never opens a connection to eth1", "broken"),
    ] {
        assert_eq!(results(claim), result, "{claim}: {said}");
    }
    // What holds alone is exit 0, and so is what another claim breaks that does not decide.
    let holds = "[[guarantees]]\nnever = { from = \"eth0\", to = \"192.168.8.0/26\" }\n";
    scratch.write("guarantees.toml", holds)?;
    let (code, said) = scratch.camfw(PROVE)?;
    let line = "holds: eth0 never opens a connection to 192.168.8.0/26 (guarantees.toml:1)\n";
    assert!(code == 0 && said.starts_with(line), "{said}");
    let (code, said) = scratch.camfw(&format!("{PROVE} --claim related --json"))?;
    let value = as_documented(&said, "prove")?;
    assert_eq!((code, &value["holds"]), (1, &Value::Bool(false)), "{said}");
    assert!(
        said.contains("eth1: related") && !said.contains("spoofing"),
        "{said}"
    );
    for more in ["", " --claim related", " --claim spoofing"] {
        let (code, said) = scratch.camfw(&format!(
            "prove --rules rules --networks networks{more} --json"
        ))?;
        let value = as_documented(&said, "prove")?;
        assert_eq!(value["holds"] == true, code == 0, "{said}");
    }
    Ok(())
}

/// A network of which a part is behind another interface, and an end that has a part of
/// another's network.
#[test]
fn an_address_is_behind_the_smallest_network() -> Done {
    let scratch = Scratch::new("smallest")?;
    scratch.write(
        "networks",
        "eth0 any\neth1 10.1.0.0/16\neth2 192.168.5.0/24\n",
    )?;
    let rules = |rule: &str| {
        format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n{rule}\nCOMMIT\n"
        )
    };
    scratch.write(
        "rules",
        &rules("-A FORWARD -i eth2 -o eth1 -d 10.1.0.5/32 -j ACCEPT"),
    )?;
    // Its ends are behind eth0, and 10.1.0.5 is not.
    let never = "[[guarantees]]\nnever = { from = \"eth2\", to = \"10.0.0.0/8\" }\n";
    scratch.write("guarantees.toml", never)?;
    let (code, said) = scratch.camfw(PROVE)?;
    let refused = "camfw: guarantees.toml:2:31: 10.0.0.0/8 is not behind one interface of the networks; name its parts\n";
    assert_eq!((code, said.as_str()), (2, refused));
    let parts = never.replace("10.0.0.0/8", "10.1.0.0/17");
    scratch.write("guarantees.toml", &parts)?;
    let (code, said) = scratch.camfw(PROVE)?;
    assert!(code == 1 && said.starts_with("does not hold: "), "{said}");
    // What is behind eth1 is not behind eth0 too.
    scratch.write(
        "rules",
        &rules("-A FORWARD -i eth2 -o eth0 ! -d 10.1.0.0/16 -j ACCEPT"),
    )?;
    let always =
        "[[guarantees]]\nalways = { from = \"eth2\", to = \"eth0\", service = \"http\" }\n";
    scratch.write("guarantees.toml", always)?;
    // Nor are the hosts of eth2, which are their own neighbors.
    let (code, said) = scratch.camfw(PROVE)?;
    assert_eq!(code, 0, "{said}");
    Ok(())
}

/// The router's own addresses are a line of the networks; nothing comes in by `lo` from a
/// wire, and the kernel forwards nothing to the router itself, whatever FORWARD says.
#[test]
fn the_routers_own_addresses_are_no_hosts() -> Done {
    let scratch = Scratch::new("own-addresses")?;
    scratch.write(
        "networks",
        "lo 192.168.8.1 192.168.5.1 fd00:8::1\neth0 any !192.168.0.0/16 !fd00::/16\neth1 192.168.8.0/24 fd00:8::/64\neth2 192.168.5.0/24\n",
    )?;
    let rules = |more: &str| {
        format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n{more}COMMIT\n"
        )
    };
    scratch.write(
        "rules",
        &rules("-A INPUT -s 192.168.8.0/24 -i eth1 -m conntrack --ctstate NEW -j ACCEPT\n-A FORWARD -s 192.168.5.0/24 -i eth2 -o eth0 -m conntrack --ctstate NEW -j ACCEPT\n"),
    )?;
    for claims in ["", "--claim related", "--claim spoofing --claim related"] {
        let (code, said) =
            scratch.camfw(&format!("prove --rules rules --networks networks {claims}"))?;
        assert!(code == 0 && !said.contains("lo: "), "{claims}: {said}");
    }
    scratch.write("lo", "lo 192.168.8.1\n")?;
    let (code, said) = scratch.camfw("prove --rules rules --networks lo")?;
    assert!(
        code == 2 && said.contains("lo: names no interface that hosts are behind"),
        "{said}"
    );
    // Each rule, and whether a packet that meets it is ever forwarded.
    let never = "[[guarantees]]\nnever = { from = \"eth1\", to = \"any\" }\n";
    scratch.write(
        "guarantees.toml",
        &never.replace("\"any\"", "[\"eth0\", \"eth2\"]"),
    )?;
    for (rule, forwarded) in [
        ("-i eth1 -d 192.168.5.1/32", false),
        ("-i eth1 -d 255.255.255.255/32", false),
        ("-i eth1 -d 127.0.0.0/8", false),
        ("-i eth1 -d 224.0.0.0/24", false),
        ("-i eth1 -s 127.0.0.0/8", false),
        ("-i eth1 -s 192.168.8.1/32", false),
        ("-i eth1 -s 224.0.0.0/4", false),
        ("-i eth1 -d 192.168.5.2/32", true),
        ("-i eth1 -d 239.0.0.1/32", true),
        ("-i eth1 -s 192.168.8.0/30", true),
        ("-i eth1 -d fd00:8::1/128", false),
        ("-i eth1 -d ff02::/16", false),
        ("-i eth1 -s fe80::/10", false),
        ("-i eth1 -s fd00:8::1/128", true),
        ("-i eth1 -d 2001:db8::/32", true),
    ] {
        scratch.write("rules", &rules(&format!("-A FORWARD {rule} -j ACCEPT\n")))?;
        let (code, said) = scratch.camfw(PROVE)?;
        assert_eq!(code, i32::from(forwarded), "{rule}: {said}");
    }
    // A destination that is rewritten before routing is the one that counts, and a copy goes
    // to its gateway.
    for (before, rule) in [
        (
            "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth1 -d 192.168.8.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.5.9\nCOMMIT\n",
            "-A FORWARD -i eth1 -m conntrack --ctstate DNAT -j ACCEPT\n",
        ),
        (
            "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth1 -d 192.168.5.1/32 -j TEE --gateway 192.168.5.9\nCOMMIT\n",
            "",
        ),
    ] {
        scratch.write("rules", &(before.to_owned() + &rules(rule)))?;
        let (code, said) = scratch.camfw(PROVE)?;
        assert!(
            code == 1 && said.contains("not hold: eth1 never opens a connection to eth2"),
            "{said}"
        );
    }
    Ok(())
}

/// A packet that is shown is one that somebody can send.
#[test]
fn a_packet_that_is_shown_is_a_hosts() -> Done {
    let scratch = Scratch::new("shown")?;
    scratch.write(
        "networks",
        "lo 192.168.8.1 192.168.5.1\neth0 any !192.168.0.0/16\neth1 192.168.8.0/24\neth2 192.168.5.0/24\n",
    )?;
    let rules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -i eth1 -o eth2 -d 10.0.0.0/8 -j DROP\nCOMMIT\n";
    scratch.write("rules", rules)?;
    for (from, to, ends) in [
        ("eth1", "eth2", "--src 192.168.8.2 --dst 192.168.5.2 "),
        ("eth1", "eth0", "--src 192.168.8.2 --dst 203.0.113.1 "),
        ("eth0", "eth1", "--src 198.51.100.1 --dst 192.168.8.2 "),
        ("eth1", "router", "--src 192.168.8.2 --dst 192.168."),
        ("router", "eth0", ".1 --dst 203.0.113.1 "),
        ("eth0", "router", "--src 198.51.100.1 --dst 192.168."),
    ] {
        let never = format!("[[guarantees]]\nnever = {{ from = \"{from}\", to = \"{to}\" }}\n");
        scratch.write("guarantees.toml", &never)?;
        let (code, said) = scratch.camfw(PROVE)?;
        assert!(code == 1 && said.contains(ends), "{from} {to}: {said}");
    }
    let (_, said) = scratch.camfw("prove --rules rules --networks networks")?;
    let forged = "eth1: spoofed sources are NOT kept out: camfw trace --from eth1 --to eth0 --src 198.51.100.1 --dst 203.0.113.1 ";
    assert!(said.contains(forged), "{said}");
    Ok(())
}

/// The name of a service stands for a packet that a line with it lets through.
#[test]
fn trace_takes_a_service_for_a_packet_of_it() -> Done {
    let scratch = Scratch::new("services")?;
    let names = ["ping", "gre", "own", "dns", "traceroute"];
    for (name, flags) in names
        .map(|it| (it, ""))
        .into_iter()
        .chain([("dns", "--proto udp")])
    {
        scratch.write(
            "camfw.toml",
            &format!(
                "[zones.a]\ninterface = \"eth0\"\naddress = [\"10.1.0.1/24\", \"fd00:1::1/64\"]\nrole = \"private\"\n\
                 [zones.b]\ninterface = \"eth1\"\naddress = [\"10.2.0.1/24\", \"fd00:2::1/64\"]\nrole = \"private\"\n\
                 [ipv6]\nmode = \"same\"\n[services.own]\nudp = 5000\nsource-port = [123, 500]\n\
                 [[allow]]\nfrom = \"a\"\nto = \"b\"\nservice = \"{name}\"\n"
            ),
        )?;
        for (src, dst) in [("10.1.0.5", "10.2.0.5"), ("fd00:1::5", "fd00:2::5")] {
            let (_, said) = scratch.camfw(&format!(
                "--config camfw.toml trace --src {src} --dst {dst} --dport {name} {flags}"
            ))?;
            let last = said.lines().last().unwrap_or_default();
            assert!(last.starts_with("ACCEPT by "), "{name} {src}: {said}");
        }
    }
    Ok(())
}

/// What other commands print for programs is as documented.
#[test]
fn check_compare_and_trace_speak_to_programs() -> Done {
    let scratch = scratch("speak")?;
    let example = root().join("examples/six-cameras.toml");
    let bad = root().join("tests/refuse/several-in-all-tables/config.toml");
    for (config, code) in [(example, 0), (bad, 2)] {
        let config = config.display().to_string();
        let (found, said) = scratch.camfw(&format!("--config {config} check --json"))?;
        let value = as_documented(&said, "check")?;
        assert_eq!((found, value["good"] == true), (code, code == 0), "{said}");
        // The same mistakes as are told to people.
        let (_, text) = scratch.camfw(&format!("--config {config} check"))?;
        let mistakes = value["mistakes"].as_array().into_iter().flatten();
        let mut told = 0;
        for it in mistakes {
            let what = it["what"].as_str().unwrap_or_default();
            let file = it["file"].as_str().unwrap_or_default();
            let line = format!("camfw: {file}:{}:{}: {what}", it["line"], it["column"]);
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
            told += 1;
        }
        assert_eq!(told > 1, code == 2, "{said}");
        for line in value["warnings"].as_array().into_iter().flatten() {
            assert!(
                text.contains(line.as_str().unwrap_or("?")),
                "{line}: {text}"
            );
        }
    }
    let pairs = [
        ("rules rules".to_owned(), true),
        (two("forward", "old.toml", "new.toml"), false),
        (two("recent", "old", "new"), false),
    ];
    for (files, same) in pairs {
        let (code, said) = scratch.camfw(&format!("compare {files} --json"))?;
        let value = as_documented(&said, "compare")?;
        assert_eq!(value["same"], same, "{files}: {said}");
        assert_eq!(code, i32::from(!same), "{files}: {said}");
        let changes = value["changes"].as_array().map_or(0, Vec::len);
        assert_eq!(changes == 0, same, "{files}: {said}");
        // The text for people has a line for each.
        let (_, text) = scratch.camfw(&format!("compare {files}"))?;
        assert_eq!(text.matches("    camfw trace ").count(), changes, "{text}");
    }
    let packet =
        "trace --rules rules --networks networks --src 192.168.8.110 --dst 1.1.1.1 --dport 80";
    let (code, said) = scratch.camfw(&format!("{packet} --json"))?;
    let value = as_documented(&said, "trace")?;
    assert_eq!(
        (code, value["verdict"].as_str()),
        (0, Some("DEPENDS")),
        "{said}"
    );
    let (_, text) = scratch.camfw(packet)?;
    let rules = value["path"].as_array().map_or(0, Vec::len);
    assert_eq!(text.lines().count(), rules + 1, "{text}");
    // Of many packets, for each what is said of it alone.
    let packets = [
        "--src 192.168.8.110 --dst 1.1.1.1 --dport 80",
        "--src 192.168.8.110 --dst 192.168.8.1 --from eth2 --to router",
        "--src 192.168.5.9 --dst 192.168.8.7 --proto udp --state ESTABLISHED",
    ];
    scratch.write("packets", &format!("{}\n", packets.join("\n\n")))?;
    let trace = "trace --rules rules --networks networks --json";
    let (code, said) = scratch.camfw(&format!("{trace} --packets packets"))?;
    assert_eq!((code, said.lines().count()), (0, packets.len()), "{said}");
    for (packet, line) in packets.iter().zip(said.lines()) {
        as_documented(line, "trace")?;
        let (_, alone) = scratch.camfw(&format!("{trace} {packet}"))?;
        assert_eq!(alone.trim_end(), line);
    }
    let (code, said) = scratch.camfw("apply --dry-run --confirm 60")?;
    assert!(code == 2 && said.contains("nothing to confirm"), "{said}");
    Ok(())
}

/// Two files of a case of `tests/compare`.
fn two(case: &str, old: &str, new: &str) -> String {
    let case = root().join("tests/compare").join(case);
    format!("{} {}", case.join(old).display(), case.join(new).display())
}

/// The script of the article as the kernel holds it, and a filter that knows no states.
#[test]
fn public_rules_keep_one_guarantee_and_break_another() -> Done {
    let scratch = Scratch::new("public")?;
    let article = fs::read_to_string(root().join("examples/auditing/article.rules"))?;
    let networks = fs::read_to_string(root().join("examples/auditing/article.networks"))?;
    scratch.write("networks", &networks)?;
    let stateless = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -i eth1 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n-A FORWARD -i eth1 ! -p tcp -j DROP\nCOMMIT\n";
    for (rules, guarantee, code, told) in [
        (
            article.as_str(),
            "never = { from = \"eth1\", to = \"eth0\" }",
            0,
            "holds: ",
        ),
        (
            &article,
            "never = { from = \"eth2\", to = \"eth0\" }",
            1,
            "--dport 80",
        ),
        (
            &article,
            "never = { from = \"any\", to = \"any\", service = \"ssh\" }",
            0,
            "holds: ",
        ),
        (
            &article,
            "always = { from = \"eth2\", to = \"router\", service = \"ssh\" }",
            0,
            "holds: ",
        ),
        (
            &article,
            "always = { from = \"eth1\", to = \"router\", service = \"ssh\" }",
            1,
            "DROP by filter INPUT policy",
        ),
        // No segment opens a connection, but any other goes in the middle of one.
        (
            stateless,
            "never = { from = \"eth1\", to = \"eth0\", service = { tcp = [80] } }",
            1,
            "--flags ",
        ),
        (
            stateless,
            "never = { from = \"eth1\", to = \"eth0\", service = \"dns\" }",
            1,
            "--proto tcp",
        ),
        (
            stateless,
            "never = { from = \"eth1\", to = \"eth0\", service = \"ntp\" }",
            0,
            "holds: ",
        ),
        (
            stateless,
            "always = { from = \"eth2\", to = \"eth1\", service = \"rtsp\" }",
            0,
            "holds: ",
        ),
    ] {
        scratch.write("rules", rules)?;
        scratch.write("guarantees.toml", &format!("[[guarantees]]\n{guarantee}\n"))?;
        let (found, said) = scratch.camfw(PROVE)?;
        assert!(found == code && said.contains(told), "{guarantee}: {said}");
    }
    Ok(())
}

/// A copy of a packet is a way out; it is none by which a packet reaches where it was sent.
#[test]
fn a_copy_breaks_never_and_does_not_make_always() -> Done {
    let scratch = scratch("tee")?;
    let rules = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -i eth1 -p tcp -m tcp --dport 80 -j TEE --gateway 192.168.5.9\nCOMMIT\n";
    scratch.write("rules", rules)?;
    for kind in ["never", "always"] {
        let text = format!(
            "[[guarantees]]\n{kind} = {{ from = \"eth1\", to = \"eth2\", service = \"http\" }}\n"
        );
        scratch.write("guarantees.toml", &text)?;
        let (code, said) = scratch.camfw(PROVE)?;
        assert!(
            code == 1 && said.starts_with("does not hold: "),
            "{kind}: {said}"
        );
    }
    Ok(())
}

/// Every wrong file of guarantees is refused with its place, and nothing is proven.
#[test]
fn what_is_no_guarantee_is_refused() -> Done {
    let scratch = scratch("refused")?;
    for (text, told) in [
        ("", "guarantees.toml:1:1: there is no guarantee; write one"),
        (
            "[zones.a]\nrole = \"camera\"\ninterface = \"eth1\"\n",
            "guarantees.toml:1:2: zones says nothing about other people's rules; leave",
        ),
        (
            "[[guarantee]]\nnever = { from = \"eth1\", to = \"eth0\" }\n",
            "did you mean guarantees?",
        ),
        (
            "[[guarantees]]\nnevr = { from = \"eth1\", to = \"eth0\" }\n",
            "did you mean never?",
        ),
        (
            "[[guarantees]]\n",
            "1:1: a guarantee says one thing; give it never or always",
        ),
        (
            "[[guarantees]]\nnever = { from = \"eth11\", to = \"eth0\" }\n",
            "2:18: no interface of the networks is called \"eth11\", and it is no address; did you mean eth1?",
        ),
        (
            "[[guarantees]]\nnever = { from = \"camera\", to = \"eth0\" }\n",
            "use one of lo, eth0, eth1, eth2, router, any",
        ),
        (
            "[[guarantees]]\nnever = { from = \"ruoter\", to = \"eth0\" }\n",
            "did you mean router?",
        ),
        (
            "[[guarantees]]\nnever = { from = \"eth1\", to = \"192.168.9.1\" }\n",
            "2:31: 192.168.9.1 is behind no interface of the networks; add it to one",
        ),
        (
            "[[guarantees]]\nnever = { from = \"eth1\", to = \"192.168.4.0/23\" }\n",
            "is not behind one interface of the networks; name its parts",
        ),
        (
            "[[guarantees]]\nnever = { from = \"eth1\", to = \"192.168.8.5/24\" }\n",
            "has bits beyond its prefix; write 192.168.8.0/24",
        ),
        (
            "[[guarantees]]\nnever = { from = \"eth1\", to = \"eth1\" }\n",
            "2:9: from and to are the same",
        ),
        (
            "[[guarantees]]\nnever = { from = \"eth1\", to = \"192.168.8.7\" }\n",
            "from and to are the same",
        ),
        (
            "[[guarantees]]\nnever = { from = \"router\", to = \"192.168.8.1\" }\n",
            "from and to are the same",
        ),
        (
            "[[guarantees]]\nnever = { from = [], to = \"eth1\" }\n",
            "the list is empty",
        ),
        (
            "[[guarantees]]\nalways = { from = \"eth1\", to = \"eth0\" }\n",
            "name the service",
        ),
        (
            "[[guarantees]]\nnever = { from = \"eth1\", to = \"eth0\", service = \"htpp\" }\n",
            "no service is called \"htpp\"; did you mean http?",
        ),
        ("[[guarantees]]\nnever = { from = \"eth1\" }\n", "to"),
        ("version = 9\n", "version 9 of the configuration"),
        (
            "[[guarantees]]\nnever = { from = \"eth1\", to = \"eth0\"\n",
            "guarantees.toml:",
        ),
    ] {
        scratch.write("guarantees.toml", text)?;
        for more in ["", " --json"] {
            let (code, said) = scratch.camfw(&format!("{PROVE}{more}"))?;
            assert!(code == 2 && said.contains(told), "{text}: {said}");
            assert!(
                said.starts_with("camfw: guarantees.toml:"),
                "{text}: {said}"
            );
        }
    }
    // All of them are told at once.
    let both = "[[guarantees]]\nnever = { from = \"a\", to = \"eth0\" }\n[[guarantees]]\nnever = { from = \"b\", to = \"eth0\" }\n";
    scratch.write("guarantees.toml", both)?;
    let (_, said) = scratch.camfw(PROVE)?;
    assert_eq!(said.lines().count(), 2, "{said}");
    for (arguments, told) in [
        ("prove --guarantees guarantees.toml", "go with --rules"),
        (
            "prove --rules rules --guarantees guarantees.toml",
            "--rules needs --networks FILE",
        ),
        (
            "prove --rules rules --networks networks --guarantees x",
            "x: cannot read it",
        ),
        (
            "prove --rules rules --networks networks --guarantees guarantees.toml --chain filter/FORWARD",
            "leave --chain out",
        ),
    ] {
        let (code, said) = scratch.camfw(arguments)?;
        assert!(code == 2 && said.contains(told), "{arguments}: {said}");
    }
    // A guarantee about the other family alone proves nothing of these rules.
    let other = "[[guarantees]]\nnever = { from = \"2001:db8::/32\", to = \"eth1\" }\n";
    scratch.write("guarantees.toml", other)?;
    let (code, said) = scratch.camfw(PROVE)?;
    assert!(
        code == 2 && said.contains("says anything about IPv4"),
        "{said}"
    );
    Ok(())
}

/// Of a rule that rewrites the destination it says to what; which rule is beside it.
#[test]
fn trace_says_where_a_packet_is_sent_on_to() -> Done {
    let scratch = Scratch::new("sent-on")?;
    for (target, told, address, port) in [
        (
            "DNAT --to-destination 192.168.8.110:443",
            "192.168.8.110 port 443",
            "192.168.8.110",
            "443",
        ),
        (
            "DNAT --to-destination 192.168.8.110",
            "192.168.8.110 port 8443",
            "192.168.8.110",
            "8443",
        ),
        (
            "DNAT --to-destination 192.168.8.1-192.168.8.9:80-90",
            "192.168.8.1-192.168.8.9 port 80-90",
            "192.168.8.1-192.168.8.9",
            "80-90",
        ),
        (
            "NETMAP --to 192.168.8.0/24",
            "192.168.8.0-192.168.8.255 port 8443",
            "192.168.8.0-192.168.8.255",
            "8443",
        ),
        ("REDIRECT --to-ports 53", "router port 53", "router", "53"),
        ("REDIRECT", "router port 8443", "router", "8443"),
    ] {
        let policies = ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]";
        scratch.write(
            "rules",
            &format!("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p tcp -m tcp --dport 8443 -j {target}\nCOMMIT\n*filter\n{policies}\nCOMMIT\n"),
        )?;
        let trace =
            "trace --rules rules --from eth0 --to router --src 198.51.100.7 --dst 203.0.113.2";
        let (code, said) = scratch.camfw(&format!("{trace} --dport 8443"))?;
        let line = format!(
            "nat PREROUTING 1 (line 3): -i eth0 -p tcp -m tcp --dport 8443 -j {target}: destination rewritten to {told}\n"
        );
        assert!(code == 0 && said.starts_with(&line), "{said}");
        let (_, said) = scratch.camfw(&format!("{trace} --dport 8443 --json"))?;
        let value = as_documented(&said, "trace")?;
        let to = &value["path"][0]["to"];
        assert_eq!(
            (to["address"].as_str(), to["port"].as_str()),
            (Some(address), Some(port)),
            "{said}"
        );
        // The control: what no rule rewrites goes where it was sent.
        let (_, said) = scratch.camfw(&format!("{trace} --dport 22 --json"))?;
        let value = as_documented(&said, "trace")?;
        assert!(
            value["path"][0]["to"].is_null() && !said.contains("rewritten"),
            "{said}"
        );
    }
    // Of a policy the rule has the line of the file.
    let forwards = root().join("tests/golden/forwards/config.toml");
    let trace = format!(
        "--config {} trace --from external --src 192.168.0.9 --dst 192.168.0.2",
        forwards.display()
    );
    let (_, said) = scratch.camfw(&format!("{trace} --dport 8443"))?;
    let line = said
        .lines()
        .find(|line| line.starts_with("nat "))
        .unwrap_or_default();
    let is_told = line.ends_with(": destination rewritten to 192.168.8.110 port 443");
    assert!(is_told && line.contains("config.toml:"), "{said}");
    Ok(())
}

/// Where the file does not have the router's address, it is told if a packet would fare otherwise by it.
#[test]
fn trace_says_what_it_takes_an_unknown_destination_for() -> Done {
    let scratch = scratch("own-by-dhcp")?;
    let config = fs::read_to_string(root().join("tests/golden/loopback-dhcp/config.toml"))?;
    let ssh = "[[allow]]\nfrom = \"external\"\nto = \"router\"\nservice = \"ssh\"\n";
    scratch.write("camfw.toml", &(config + ssh))?;
    let trace = |packet: &str| -> Result<String, Box<dyn Error>> {
        let (code, said) =
            scratch.camfw(&format!("--config camfw.toml trace --dst 1.1.1.7 {packet}"))?;
        assert_eq!(code, 0, "{said}");
        Ok(said)
    };
    for (packet, flag) in [
        ("--src 192.168.5.7 --dport 554", "--own"),
        ("--from external --src 8.8.8.8 --dport 22", "--to router"),
    ] {
        let said = trace(packet)?;
        let assumed = format!(
            "assumed: 1.1.1.7 is not an address of the router that the file does not know; give {flag} if it is\n"
        );
        assert!(
            said.starts_with(&assumed) && said.contains("\nDROP by "),
            "{said}"
        );
        let said = trace(&format!("{packet} {flag}"))?;
        assert!(
            !said.contains("assumed") && !said.contains("\nDROP by "),
            "{said}"
        );
    }
    // It goes out, or would be dropped there as well.
    for packet in ["--dport 443", "--dport 25", "--dport 554 --elsewhere"] {
        let said = trace(&format!("--src 192.168.5.7 {packet}"))?;
        assert!(!said.contains("assumed"), "{said}");
    }
    Ok(())
}
