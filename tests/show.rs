//! What `camfw show` prints for programs: as its schema in docs/ says, and the same as for
//! people.

mod support;

use std::error::Error;
use std::path::Path;

use serde_json::Value;
use support::{Scratch, as_documented};

type Done = Result<(), Box<dyn Error>>;

/// Configurations that have between them everything that is shown.
const CONFIGS: &[&str] = &[
    "examples/six-cameras.toml",
    "tests/golden/given/config.toml",
    "tests/golden/ipv6-network/config.toml",
    "tests/golden/known-cameras-dhcp/config.toml",
    "tests/golden/network/config.toml",
    "tests/golden/bridge-ports/config.toml",
    "tests/golden/proxy/config.toml",
];

/// What is shown of each configuration, for programs and for people.
fn shown(what: &str) -> Result<Vec<(Value, String)>, Box<dyn Error>> {
    let kind = what.split(' ').next().unwrap_or_default();
    let scratch = Scratch::new(&format!("show-{}", what.replace(' ', "")))?;
    let each = CONFIGS.iter().map(|config| {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join(config);
        let show = format!("--config {} show {what}", config.display());
        let (code, text) = scratch.camfw(&show)?;
        assert_eq!(code, 0, "{text}");
        let (code, said) = scratch.camfw(&format!("{show} --json"))?;
        assert_eq!((code, said.lines().count()), (0, 1), "{said}");
        Ok((as_documented(&said, kind)?, text))
    });
    each.collect()
}

/// The entries of a list.
fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A string, or nothing for null.
fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

#[test]
fn rules_can_be_loaded_from_what_programs_are_told() -> Done {
    for only in ["", "--ipv4", "--ipv6"] {
        for (value, text) in shown(&format!("rules {only}"))? {
            let (mut rules, mut family) = (String::new(), "");
            for table in list(&value, "tables") {
                if only.is_empty() && word(table, "family") != family {
                    family = word(table, "family");
                    rules += &format!("# {family}\n");
                }
                rules += &format!("*{}\n", word(table, "table"));
                let chains = list(table, "chains");
                for chain in chains {
                    let policy = chain["policy"].as_str().unwrap_or("-");
                    rules += &format!(":{} {policy} [0:0]\n", word(chain, "chain"));
                }
                for chain in chains {
                    for rule in list(chain, "rules") {
                        let comment = word(rule, "comment");
                        let rule = word(rule, "rule");
                        assert!(rule.contains(comment), "{rule}: {comment}");
                        rules += &format!("-A {} {rule}\n", word(chain, "chain"));
                    }
                }
                rules += "COMMIT\n";
            }
            assert_eq!(rules, text);
        }
    }
    Ok(())
}

#[test]
fn settings_options_and_services_are_those_that_people_are_told() -> Done {
    for (value, text) in shown("sysctls")? {
        let settings = list(&value, "settings").iter();
        let line = |it| {
            let [key, setting, why] = ["key", "value", "why"].map(|name| word(it, name));
            format!("{key} = {setting}  # {why}\n")
        };
        assert_eq!(settings.map(line).collect::<String>(), text);
    }
    for backend in ["", " --nft"] {
        for (value, text) in shown(&format!("kernel{backend}"))? {
            let options = list(&value, "options").iter();
            let line = |it| {
                let why: Vec<&str> = list(it, "why").iter().filter_map(Value::as_str).collect();
                format!("# {}\n{}=y\n", why.join("; "), word(it, "option"))
            };
            assert_eq!(options.map(line).collect::<String>(), text);
        }
    }
    for (value, text) in shown("services")? {
        let services = list(&value, "services");
        assert_eq!(services.len(), text.lines().count(), "{text}");
        for (service, line) in services.iter().zip(text.lines()) {
            let (name, ports) = line.split_once(' ').ok_or("no ports")?;
            assert_eq!(word(service, "name"), name);
            let said = ["tcp", "udp"].map(|protocol| {
                let ranges = list(service, protocol).iter();
                let ranges = ranges.map(|range| match &range["first"] {
                    first if *first == range["last"] => first.to_string(),
                    first => format!("{first}-{}", range["last"]),
                });
                let ranges: Vec<String> = ranges.collect();
                (!ranges.is_empty()).then(|| format!("{protocol} {}", ranges.join(", ")))
            });
            let icmp = list(service, "icmp").iter().filter_map(Value::as_str);
            let icmp: Vec<&str> = icmp.collect();
            let icmp = (!icmp.is_empty()).then(|| format!("icmp {}", icmp.join(", ")));
            let protocols = list(service, "protocols").iter();
            let protocols = protocols.map(|number| Some(format!("protocol {number}")));
            let others = (service["others"] == true).then(|| "every other protocol".to_owned());
            let parts = said.into_iter().chain([icmp]).chain(protocols);
            let parts: Vec<String> = parts.chain([others]).flatten().collect();
            assert_eq!(parts.join("; "), ports.trim_start(), "{name}");
        }
    }
    Ok(())
}

#[test]
fn the_network_is_the_one_that_people_are_told() -> Done {
    let mut kinds = 0;
    for (value, text) in shown("network")? {
        let mut lines = text.lines();
        for link in list(&value, "links") {
            let line = lines.next().unwrap_or_default();
            let (name, zone) = (word(link, "name"), word(link, "zone"));
            assert!(line.starts_with(&format!("link {name}")), "{line}: {link}");
            assert!(line.ends_with(&format!(", zone {zone}")), "{line}: {link}");
            let addresses = list(link, "addresses").iter().filter_map(Value::as_str);
            let all = addresses.clone().all(|address| line.contains(address));
            assert!(all, "{line}: {link}");
            let by = match word(link, "addresses_by") {
                "dhcp" => "address by DHCP",
                "another-program" => "address by another program",
                "nobody" => "address none",
                _ => addresses.clone().next().unwrap_or("?"),
            };
            assert!(line.contains(by), "{line}: {link}");
            assert_eq!(
                line.contains(", up, "),
                link["up"] == true,
                "{line}: {link}"
            );
            let reaching = list(link, "not_isolated").iter().filter_map(Value::as_str);
            let reaching: Vec<&str> = reaching.collect();
            let shown = line.split_once(", isolated but ");
            let shown = shown.and_then(|(_, rest)| rest.split(',').next());
            assert_eq!(
                shown.unwrap_or_default(),
                reaching.join(" "),
                "{line}: {link}"
            );
            for (key, shown) in [
                ("hardware", ", hardware address "),
                ("device", ", device "),
                ("vlan", ", VLAN "),
                ("ports", ", bridge of "),
                ("mtu", ", MTU "),
            ] {
                kinds += usize::from(!link[key].is_null());
                assert_eq!(line.contains(shown), !link[key].is_null(), "{line}: {link}");
            }
        }
        for route in list(&value, "routes") {
            let line = lines.next().unwrap_or_default();
            let destination = word(route, "destination");
            let (link, gateway) = (word(route, "link"), word(route, "gateway"));
            let way = match (word(route, "kind"), gateway) {
                ("blackhole", _) => " to nowhere".to_owned(),
                ("unreachable", _) => " unreachable".to_owned(),
                (_, "") => format!(" on {link}"),
                _ => format!(" via {gateway} on {link}"),
            };
            let start = format!("route {destination}{way}");
            assert!(line.starts_with(&start), "{line}: {route}");
            let table = format!(", table {}", route["table"]);
            assert!(line.ends_with(&table) || route["table"] == 254, "{line}");
        }
        for rule in list(&value, "rules") {
            let line = lines.next().unwrap_or_default();
            let end = format!("mark {} looks at table {}", rule["mark"], rule["table"]);
            assert!(line.ends_with(&end), "{line}: {rule}");
            kinds += 1;
        }
        for neighbour in list(&value, "neighbours") {
            let [address, hardware, link] =
                ["address", "hardware", "link"].map(|name| word(neighbour, name));
            let line = format!("neighbour {address} is {hardware} on {link}");
            assert_eq!(lines.next(), Some(line.as_str()));
            kinds += 1;
        }
        for entry in list(&value, "forwarding") {
            let [hardware, port, bridge] =
                ["hardware", "port", "bridge"].map(|name| word(entry, name));
            let line = format!("hardware address {hardware} is on port {port} of {bridge}");
            assert_eq!(lines.next(), Some(line.as_str()));
            kinds += 1;
        }
        assert_eq!(lines.next(), None);
    }
    // The control: there is something of each kind.
    assert!(kinds > 8, "{kinds}");
    Ok(())
}
