//! The matrix by names: what it shows is what the rules let through, and fits on a screen
//! and on a sheet.
//!
//! `UPDATE=1` writes tests/matrix; read the difference before you commit it.

mod support;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Scratch, as_documented};

type Done = Result<(), Box<dyn Error>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix")
}

fn expect(name: &str, text: &str) -> Done {
    let path = folder().join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text)?;
    }
    assert_eq!(fs::read_to_string(&path)?, text, "{name}");
    Ok(())
}

fn widest(text: &str) -> usize {
    let lines = text.lines().map(|line| line.chars().count());
    lines.max().unwrap_or_default()
}

#[test]
fn a_policy_and_a_dump_are_shown_by_their_names() -> Done {
    let scratch = Scratch::new("named")?;
    for name in ["site.toml", "dump.rules", "dump.networks"] {
        scratch.write(name, &fs::read_to_string(folder().join(name))?)?;
    }
    let dump = "--rules dump.rules --networks dump.networks";
    for (name, arguments) in [
        ("site", "-c site.toml".to_owned()),
        ("site-https", "-c site.toml --dport https".to_owned()),
        ("dump", dump.to_owned()),
    ] {
        let (code, text) = scratch.camfw(&format!("show matrix {arguments}"))?;
        assert_eq!(code, 0, "{text}");
        expect(&format!("{name}.txt"), &text)?;
        assert!(widest(&text) <= 80, "{text}");
    }
    let (_, json) = scratch.camfw("show matrix -c site.toml --json")?;
    expect("site.json", &json)?;
    let (_, exact) = scratch.camfw("show matrix -c site.toml --exact --json")?;
    for told in [&json, &exact] {
        as_documented(told, "matrix")?;
    }
    let (_, svg) = scratch.camfw("show matrix -c site.toml --svg")?;
    expect("site.svg", &svg)?;
    // The classes of addresses are there as before.
    let (_, exact) = scratch.camfw("show matrix -c site.toml --exact --dport 443")?;
    assert!(exact.contains("x where the row may open one"), "{exact}");
    let (code, said) = scratch.camfw("show matrix -c site.toml --exact --svg")?;
    assert!(code == 2 && said.contains("leave out --svg"), "{said}");
    Ok(())
}

/// Forty cameras, each of which may do something of its own, so that no two are alike.
fn forty(own: bool) -> String {
    let mut text = "\
[zones.external]\ninterface = \"eth0\"\naddress = \"192.168.0.2/24\"\nrole = \"external\"\n\
[zones.camera]\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\nrole = \"camera\"\nknown-only = true\n\
[zones.private]\ninterface = \"eth2\"\naddress = \"192.168.5.200/24\"\nrole = \"private\"\n\
[[allow]]\nfrom = \"private\"\nto = \"camera\"\nservice = [\"rtsp\", \"https\"]\n\
[[allow]]\nfrom = \"camera\"\nto = \"router\"\nservice = [\"ntp\", \"ftp\"]\n"
        .to_owned();
    for number in 1..=40 {
        let _ = write!(
            text,
            "[[cameras]]\nname = \"camera-{number:02}\"\naddress = \"192.168.8.{}\"\n",
            100 + number
        );
        if own {
            let _ = write!(
                text,
                "[[allow]]\nfrom = \"private\"\nto = \"camera-{number:02}\"\nservice = {{ tcp = [{}] }}\n\
                 [[allow]]\nfrom = \"camera-{number:02}\"\nto = \"router\"\nservice = {{ udp = [{}] }}\n",
                9000 + number,
                9100 + number,
            );
        }
    }
    text
}

#[test]
fn forty_cameras_fit_on_a_screen_and_on_a_sheet() -> Done {
    let scratch = Scratch::new("forty")?;
    for (name, own) in [("alike", false), ("apart", true)] {
        scratch.write("c.toml", &forty(own))?;
        let (code, text) = scratch.camfw("show matrix -c c.toml")?;
        assert!(code == 0 && widest(&text) <= 80, "{text}");
        let (_, svg) = scratch.camfw("show matrix -c c.toml --svg")?;
        fs::write(
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("matrix-{name}.svg")),
            &svg,
        )?;
        let boxes = nothing_overlaps(&svg)?;
        assert!(boxes > 20, "{svg}");
        let named = (1..=40).filter(|number| svg.contains(&format!("camera-{number:02}")));
        assert_eq!(named.count(), 40);
        if !own {
            assert!(
                text.lines().count() < 30,
                "alike cameras are one row:\n{text}"
            );
            assert!(text.contains("camera-01 +39"), "{text}");
        }
    }
    Ok(())
}

/// The number of texts of a picture, each of which has a place that no other is in and is
/// on the sheet, if characters are as wide as 0.6 of their height.
fn nothing_overlaps(svg: &str) -> Result<usize, Box<dyn Error>> {
    let attribute = |line: &str, name: &str| -> Option<f64> {
        let (_, rest) = line.split_once(&format!(" {name}=\""))?;
        rest.split('"').next()?.parse().ok()
    };
    let (sheet, high) = (
        attribute(svg, "width").ok_or("no width")?,
        attribute(svg, "height").ok_or("no height")?,
    );
    let mut boxes: Vec<([f64; 4], String)> = Vec::new();
    for text in svg.split("<text ").skip(1) {
        let text = format!(" {text}");
        let (x, y) = (
            attribute(&text, "x").ok_or("no x")?,
            attribute(&text, "y").ok_or("no y")?,
        );
        let (_, said) = text.split_once('>').ok_or("no text")?;
        let said = said.split('<').next().unwrap_or_default();
        let said = said.replace("&gt;", ">").replace("&amp;", "&");
        let size = if text.contains("class=\"t\"") {
            16.0
        } else {
            12.0
        };
        let long = said.chars().count() as f64 * size * 0.602;
        let place = match text.contains("rotate(-90") {
            true => [x - size * 0.75, y - long, x + size * 0.2, y],
            false => [x, y - size * 0.75, x + long, y + size * 0.2],
        };
        assert!(
            place[0] >= 0.0 && place[1] >= 0.0 && place[2] <= sheet && place[3] <= high,
            "{said:?} is off the sheet: {place:?}"
        );
        for (other, others) in &boxes {
            let apart = place[2] <= other[0]
                || other[2] <= place[0]
                || place[3] <= other[1]
                || other[3] <= place[1];
            assert!(
                apart,
                "{said:?} at {place:?} is over {others:?} at {other:?}"
            );
        }
        boxes.push((place, said));
    }
    Ok(boxes.len())
}

/// Who stands for an end when a packet is traced: its zone and an address.
const HOSTS: &[(&str, &str, &str)] = &[
    ("external", "external", "198.51.100.7"),
    ("camera (others)", "camera", "192.168.8.9"),
    ("porch", "camera", "192.168.8.110"),
    ("yard", "camera", "192.168.8.111"),
    ("gate", "camera", "192.168.8.112"),
    ("private", "private", "192.168.5.20"),
    ("router", "router", ""),
];

/// Each cell says what single packets say that are traced through the same rules.
#[test]
fn cells_say_what_traced_packets_say() -> Done {
    let scratch = Scratch::new("traced")?;
    scratch.write(
        "site.toml",
        &fs::read_to_string(folder().join("site.toml"))?,
    )?;
    let own = [
        ("external", "192.168.0.2"),
        ("camera", "192.168.8.1"),
        ("private", "192.168.5.200"),
    ];
    let own = |zone: &str| {
        let found = own.iter().find(|(known, _)| *known == zone);
        found.map_or("", |(_, address)| *address)
    };
    let mut asked = Vec::new();
    let mut packets = String::new();
    for (service, protocol, port) in [
        ("http", "tcp", 80),
        ("https", "tcp", 443),
        ("ssh", "tcp", 22),
        ("smtp", "tcp", 25),
        ("ntp", "udp", 123),
        ("dhcp", "udp", 67),
        ("dahua-sdk", "tcp", 37777),
    ] {
        for (from, from_zone, source) in HOSTS {
            for (to, to_zone, destination) in HOSTS {
                if from_zone == to_zone {
                    continue;
                }
                let source = if source.is_empty() {
                    own(to_zone)
                } else {
                    source
                };
                let destination = match (*destination, service, *to) {
                    ("", ..) => own(from_zone),
                    // The only server that a line names.
                    (_, "ntp", "external") => "192.0.2.123",
                    (destination, ..) => destination,
                };
                let mac = if *from == "porch" {
                    " --mac 00:11:22:33:44:55"
                } else {
                    ""
                };
                let _ = writeln!(
                    packets,
                    "--from {from_zone} --to {to_zone} --src {source} --dst {destination} --proto {protocol} --dport {port}{mac}"
                );
                asked.push((service, *from, *to));
            }
        }
    }
    scratch.write("packets", &packets)?;
    let (code, verdicts) = scratch.camfw("trace -c site.toml --packets packets")?;
    assert_eq!(code, 0, "{verdicts}");
    let mut traced = BTreeSet::new();
    for ((service, from, to), verdict) in asked.iter().zip(verdicts.lines()) {
        if !verdict.starts_with("DROP") {
            traced.insert(format!("{service}: {from} to {to}"));
        }
    }
    let mut shown = BTreeSet::new();
    let services: BTreeSet<&str> = asked.iter().map(|(service, ..)| *service).collect();
    for service in services {
        let command = format!("show matrix -c site.toml --json --dport {service}");
        let (code, json) = scratch.camfw(&command)?;
        assert_eq!(code, 0, "{json}");
        let matrix: Value = serde_json::from_str(&json)?;
        let members = |side: &str, name: &Value| -> Vec<String> {
            let ends = matrix[side].as_array().into_iter().flatten();
            let end = ends.clone().find(|end| end["name"] == *name);
            let cameras = end.and_then(|end| end["cameras"].as_array());
            match cameras {
                Some(cameras) => cameras
                    .iter()
                    .filter_map(|it| Some(it.as_str()?.to_owned()))
                    .collect(),
                None => vec![name.as_str().unwrap_or_default().to_owned()],
            }
        };
        for cell in matrix["reaches"].as_array().into_iter().flatten() {
            let services = cell["services"].as_array().into_iter().flatten();
            // A packet that is sent on is traced by the port that it was opened to.
            if services.clone().all(|it| !it["sent-on-from"].is_null()) {
                continue;
            }
            for from in members("from", &cell["from"]) {
                for to in members("to", &cell["to"]) {
                    shown.insert(format!("{service}: {from} to {to}"));
                }
            }
        }
    }
    assert_eq!(shown, traced);
    assert!(shown.len() > 10, "{shown:?}");
    Ok(())
}

#[test]
fn a_service_that_is_none_is_told() -> Done {
    let scratch = Scratch::new("no-service")?;
    scratch.write(
        "site.toml",
        &fs::read_to_string(folder().join("site.toml"))?,
    )?;
    for (written, told) in [
        ("htps", "did you mean https?"),
        ("viewr", "did you mean viewer?"),
        (
            "70000",
            "is no port up to 65535 and no service; see camfw show services",
        ),
    ] {
        let (code, said) = scratch.camfw(&format!("show matrix -c site.toml --dport {written}"))?;
        assert!(code == 2 && said.contains(told), "{said}");
    }
    Ok(())
}

/// A service of two protocols keeps its name where a redirect leaves it its ports.
#[test]
fn what_is_redirected_has_its_services_name() -> Done {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/redirects/config.toml");
    let scratch = Scratch::new("redirected")?;
    let (_, text) = scratch.camfw(&format!("show matrix -c {}", config.display()))?;
    assert!(
        text.contains("53>dns") && !text.contains("53>tcp 53"),
        "{text}"
    );
    Ok(())
}

/// What a forward sends back into its zone goes to its host, with another source, and not to
/// the router, which has a line for the same port.
#[test]
fn what_is_turned_back_is_where_it_goes() -> Done {
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/loopback-dhcp/config.toml");
    let scratch = Scratch::new("turned-back")?;
    let (_, json) = scratch.camfw(&format!("show matrix -c {} --json", config.display()))?;
    let matrix: Value = serde_json::from_str(&json)?;
    let cell = |to: &str| {
        let mut cells = matrix["reaches"].as_array().into_iter().flatten();
        let found = cells.find(|cell| cell["from"] == "home" && cell["to"] == to);
        found.cloned().unwrap_or_default()
    };
    let sent_on = |to: &str| -> Vec<Value> {
        let cell = cell(to);
        let services = cell["services"].as_array().into_iter().flatten();
        let from = services.map(|service| service["sent-on-from"].clone());
        from.collect()
    };
    assert_eq!(sent_on("home"), ["443"], "{json}");
    assert_eq!(cell("home")["source-rewritten"], true, "{json}");
    assert_eq!(sent_on("porch"), ["554"], "{json}");
    assert_eq!(cell("porch")["source-rewritten"], false, "{json}");
    assert_eq!(sent_on("router"), [Value::Null], "{json}");
    Ok(())
}

/// What may open everything but a few services is told by these, and by no list of ranges.
#[test]
fn what_is_left_out_is_told_where_it_is_less() -> Done {
    let scratch = Scratch::new("but")?;
    scratch.write("networks", "eth0 any\neth1 10.0.0.0/8 fd00::/8\n")?;
    let drops = |rules: &str| -> String {
        let rules = rules.lines();
        let rules = rules.map(|rule| format!("-A FORWARD -i eth1 -o eth0 {rule} -j DROP\n"));
        let rules: String = rules.collect();
        // With conntrack, which puts fragments together: else they have no port that a rule knows.
        let known = "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
        format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n{known}-A FORWARD -i eth0 -j DROP\n{rules}COMMIT\n"
        )
    };
    let smtp = "-p tcp -m tcp --dport 25";
    for (rules, cell) in [
        ("-s 192.0.2.1", "everything"),
        (smtp, "everything but smtp"),
        (
            &format!("{smtp}\n-p udp -m udp --dport 53\n-p tcp -m tcp --dport 53\n-p 47"),
            "everything but dns, gre, smtp",
        ),
        (
            &format!("{smtp}\n-s 10.1.0.0/16 -p tcp"),
            "everything* but smtp",
        ),
        (
            "-p tcp -m tcp --dport 6000:6063",
            "everything but tcp 6000-6063",
        ),
        // What is shorter to say is said.
        ("! -p tcp", "all tcp"),
        ("-p tcp", "everything but all tcp"),
    ] {
        for family in [
            "# Generated by iptables-save\n",
            "# Generated by ip6tables-save\n",
        ] {
            if family.contains("ip6") && rules.contains("-s ") {
                continue;
            }
            scratch.write("rules", &format!("{family}{}", drops(rules)))?;
            let matrix = "show matrix --rules rules --networks networks";
            let (_, json) = scratch.camfw(&format!("{matrix} --json"))?;
            let found = as_documented(&json, "matrix")?;
            let cells = found["reaches"].as_array().into_iter().flatten();
            let services = cells.flat_map(|cell| cell["services"].as_array());
            let names = services.flatten().map(|service| service["name"].as_str());
            let names: Vec<&str> = names.flatten().collect();
            let marks = cell.replace('*', "");
            let is_begun = names.join(", ").starts_with(&marks);
            assert!(is_begun, "{family}{rules}: {json}");
            let (_, text) = scratch.camfw(matrix)?;
            let (_, svg) = scratch.camfw(&format!("{matrix} --svg"))?;
            for word in cell.split(' ') {
                assert!(text.contains(word) && svg.contains(word), "{rules}: {text}");
            }
        }
    }
    // What a forward sends on stands before it.
    let nat = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth1 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 192.0.2.7:443\nCOMMIT\n";
    scratch.write("rules", &format!("{nat}{}", drops(smtp)))?;
    let (_, text) = scratch.camfw("show matrix --rules rules --networks networks")?;
    let at = |word: &str| text.find(word).ok_or_else(|| format!("{word}: {text}"));
    assert!(at("8443>https*,")? < at("everything")?, "{text}");
    Ok(())
}

/// Two hosts of all of a zone are reached from outside, and a line has IPv6 alone.
const TWO_FAMILIES: &str = "\
[ipv6]\nmode = \"same\"\n\
[zones.net]\ninterface = \"eth0\"\naddress = [\"203.0.113.6/24\", \"2001:db8::6/64\"]\ngateway = \"203.0.113.1\"\nrole = \"external\"\n\
[zones.cam]\ninterface = \"eth1\"\naddress = [\"192.168.8.1/24\", \"fd00:8::1/64\"]\nrole = \"camera\"\n\
[zones.home]\ninterface = \"eth2\"\naddress = [\"192.168.5.1/24\", \"fd00:5::1/64\"]\nrole = \"private\"\n\
[[cameras]]\nname = \"porch\"\naddress = [\"192.168.8.11\", \"fd00:8::11\"]\n\
[[allow]]\nfrom = \"home\"\nto = \"porch\"\nservice = \"rtsp\"\n\
[[allow]]\nfrom = \"home\"\nto = \"porch\"\nservice = \"http\"\nsource = \"fd00:5::50\"\n\
[[allow]]\nfrom = \"net\"\nto = \"home\"\nservice = \"https\"\naddress = \"192.168.5.20\"\n\
[[forwards]]\nfrom = \"net\"\ntcp = 443\nto = \"home\"\naddress = \"192.168.5.20\"\n\
[[allow]]\nfrom = \"net\"\nto = \"porch\"\nservice = \"http\"\n\
[[forwards]]\nfrom = \"net\"\ntcp = 8080\nto = \"porch\"\nto-port = 80\n";

/// Where lines let something through by IPv6 nobody takes the matrix of IPv4 for all of it.
#[test]
fn each_family_has_its_matrix() -> Done {
    let scratch = Scratch::new("families")?;
    scratch.write("site.toml", TWO_FAMILIES)?;
    let of = |arguments: &str| -> Result<String, Box<dyn Error>> {
        let (code, said) = scratch.camfw(&format!("show matrix -c site.toml {arguments}"))?;
        assert_eq!(code, 0, "{said}");
        Ok(said)
    };
    for exact in ["", "--exact --dport 80"] {
        let text = of(exact)?;
        let (v4, v6) = text.split_once("\nIPv6, ").ok_or(text.as_str())?;
        assert!(v4.starts_with("IPv4, "), "{text}");
        if exact.is_empty() {
            assert!(
                widest(&text) <= 80 && v6.contains("http*") && !v4.contains("http*"),
                "{text}"
            );
            // The router may open all: that is one word, whichever family is asked for.
            assert!(
                [v4, v6].iter().all(|it| it.contains(" everything")),
                "{text}"
            );
        }
        let each = [of(&format!("{exact} -4"))?, of(&format!("{exact} -6"))?];
        assert_eq!(each.join("\n"), text);
        let mut both = as_documented(&of(&format!("{exact} --json"))?, "matrix")?;
        let v6 = both.as_object_mut().and_then(|it| it.remove("ipv6"));
        let v4 = of(&format!("{exact} --json --ipv4"))?;
        let alone = of(&format!("{exact} --json --ipv6"))?;
        assert_eq!(both, as_documented(&v4, "matrix")?);
        assert_eq!(v6, Some(as_documented(&alone, "matrix")?));
    }
    let svg = of("--svg")?;
    nothing_overlaps(&svg)?;
    assert!(svg.contains("IPv4, any") && svg.contains("IPv6, any") && svg.contains("http*"));
    Ok(())
}

/// What leads to one host of a zone does not look as if all of it were reached.
#[test]
fn what_is_sent_on_to_one_host_is_marked() -> Done {
    let scratch = Scratch::new("one-host")?;
    scratch.write("site.toml", TWO_FAMILIES)?;
    let (_, text) = scratch.camfw("show matrix -c site.toml -4")?;
    assert!(text.contains("443>https*"), "{text}");
    // All of the camera's addresses.
    assert!(text.contains("8080>http "), "{text}");
    Ok(())
}
