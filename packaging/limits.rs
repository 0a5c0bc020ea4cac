//! Writes which matches and targets of iptables the proof decides exactly, and which it judges
//! both ways, as the proof itself takes them:
//!
//!     cargo run --example limits
//!
//! Its output stands in docs/auditing.md, which a test holds. Not a part of the program.

use camfw::family::IpFamily;
use camfw::netfilter::read;
use camfw::prove::unknown;

/// Each match that the proof knows, and those that are common in public rules, as a rule has it.
const MATCHES: &[&str] = &[
    "-s 10.0.0.0/8 -d 10.0.0.1/32",
    "-s 10.0.0.7/255.0.0.255",
    "-i eth0 -o eth+",
    "-p tcp -m tcp --sport 1024:65535 --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN",
    "-p udp -m udp --sport 67 --dport 68",
    "-p udp -m multiport --dports 53,123,5000:5010",
    "-p icmp -m icmp --icmp-type 8/0",
    "-p 132 -m sctp --dport 38412",
    "-p 33 -m dccp --dport 5004",
    "-p 136 -m udplite --dport 5004",
    "-p 51 -m ah",
    "-p 50 -m esp",
    "-f",
    "-m conntrack --ctstate NEW,ESTABLISHED,RELATED,INVALID,UNTRACKED,DNAT,SNAT",
    "-m state --state NEW,ESTABLISHED",
    "-m conntrack --ctstate RELATED --ctorigsrc 10.0.0.0/8 --ctdir REPLY",
    "-m conntrack --ctstate NEW --ctorigdst 10.0.0.1",
    "-m conntrack --ctproto 6",
    "-m helper --helper ftp",
    "-m helper --helper sip",
    "-m iprange --src-range 10.0.0.1-10.0.0.9",
    "-m mac --mac-source 02:00:00:00:00:01",
    "-m mark --mark 0x1/0xff",
    "-m ttl --ttl-lt 5",
    "-m addrtype --dst-type MULTICAST",
    "-m addrtype --dst-type LOCAL --limit-iface-in",
    "-m addrtype --dst-type LOCAL",
    "-m addrtype --dst-type BROADCAST",
    "-m comment --comment x",
    "-m recent --set --name x --mask 255.255.255.255 --rsource",
    "-m recent --update --seconds 60 --name x --mask 255.255.255.255 --rsource",
    "-m limit --limit 10/sec",
    "-m hashlimit --hashlimit-upto 10/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name x",
    "-m connlimit --connlimit-upto 5 --connlimit-mask 32 --connlimit-saddr",
    "-m connbytes --connbytes 1000: --connbytes-mode bytes --connbytes-dir both",
    "-m connmark --mark 0x1",
    "-m time --timestart 08:00:00 --timestop 18:00:00",
    "-m set --match-set x src",
    "-m string --string x --algo bm --to 65535",
    "-m u32 --u32 0x0=0x0",
    "-m bpf --bytecode 1,6 0 0 0",
    "-m length --length 0:100",
    "-m dscp --dscp 0x10",
    "-m tos --tos 0x10",
    "-m ecn --ecn-tcp-ece",
    "-m owner --uid-owner 0",
    "-m physdev --physdev-in eth0",
    "-m pkttype --pkt-type broadcast",
    "-m policy --dir in --pol ipsec",
    "-m realm --realm 1",
    "-m rpfilter --invert",
    "-m socket",
    "-m statistic --mode random --probability 0.5",
    "-m quota --quota 1000",
    "-m tcpmss --mss 536:1460",
    "-m geoip --source-country XX",
];

/// Each target that the proof knows, and what it takes it for; and what may do anything.
const TARGETS: &[(&str, &str)] = &[
    ("ACCEPT", "ACCEPT"),
    ("DROP", "DROP"),
    ("REJECT --reject-with icmp-port-unreachable", "drops"),
    ("TARPIT", "drops"),
    ("DELUDE", "drops"),
    ("CHAOS", "drops"),
    ("STEAL", "drops"),
    ("RETURN", "RETURN"),
    ("TEE --gateway 10.0.0.9", "a copy gets through"),
    ("DNAT --to-destination 10.0.0.1:80", "another destination"),
    (
        "DNAT --to-destination 10.0.0.1-10.0.0.9",
        "any destination of the range",
    ),
    ("NETMAP --to 10.0.0.0/8", "any destination of the network"),
    ("REDIRECT --to-ports 80", "the router, at this port"),
    ("SNAT --to-source 10.0.0.1", "goes on"),
    ("MASQUERADE", "goes on"),
    ("SAME --to 10.0.0.1", "goes on"),
    (
        "DNPT --src-pfx fd01::/64 --dst-pfx fd02::/64",
        "any destination",
    ),
    ("RAWDNAT --to-destination 10.0.0.1", "any destination"),
    ("SNPT --src-pfx fd01::/64 --dst-pfx fd02::/64", "any source"),
    ("RAWSNAT --to-source 10.0.0.1", "any source"),
    ("NOTRACK", "UNTRACKED"),
    ("CT --notrack", "UNTRACKED"),
    ("CT --helper ftp", "goes on"),
    ("TTL --ttl-set 5", "this hop count"),
    ("HL --hl-set 5", "this hop count"),
    ("MARK --set-xmark 0x1/0xff", "this mark"),
    ("HMARK --hmark-mod 10", "any mark"),
    ("CONNMARK --restore-mark", "any mark"),
    ("CONNMARK --save-mark", "goes on"),
    ("SET --map-set x src --map-mark", "any mark"),
    ("SET --add-set x src", "goes on"),
    ("LOG", "goes on"),
    ("ULOG", "goes on"),
    ("NFLOG --nflog-group 1", "goes on"),
    ("TRACE", "goes on"),
    ("CLASSIFY --set-class 0001:0001", "goes on"),
    ("TOS --set-tos 0x10/0x3f", "goes on"),
    ("DSCP --set-dscp 0x10", "goes on"),
    ("ECN --ecn-tcp-remove", "goes on"),
    ("TCPMSS --clamp-mss-to-pmtu", "goes on"),
    ("TCPOPTSTRIP --strip-options 8", "goes on"),
    ("CHECKSUM --checksum-fill", "goes on"),
    ("SECMARK --selctx x", "goes on"),
    ("CONNSECMARK --save", "goes on"),
    (
        "RATEEST --rateest-name x --rateest-interval 1s --rateest-ewmalog 4s",
        "goes on",
    ),
    ("AUDIT --type drop", "goes on"),
    ("IDLETIMER --timeout 1 --label x", "goes on"),
    ("LED --led-trigger-id x", "goes on"),
    ("ACCOUNT --addr 10.0.0.0/8 --tname x", "goes on"),
    ("CONTINUE", "goes on"),
    ("NFQUEUE --queue-num 0", ""),
    ("QUEUE", ""),
    ("MIRROR", ""),
    ("ECHO", ""),
    ("SYNPROXY --sack-perm", ""),
    ("TPROXY --on-port 80", ""),
];

fn main() {
    print!("{}", text());
}

fn text() -> String {
    let mut exact = Vec::new();
    let mut both = Vec::new();
    for sample in MATCHES {
        match is_exact(&format!("{sample} -j ACCEPT")) {
            true => exact.push(*sample),
            false => both.push(*sample),
        }
    }
    let mut text = String::from("Exact, each as `iptables-save` prints it:\n\n");
    text += &listed(&exact);
    text += "\nJudged both ways, as every match that is not listed:\n\n";
    text += &listed(&both);
    text += "\n| target | what it is taken for |\n|---|---|\n";
    let mut anything = Vec::new();
    for (sample, what) in TARGETS {
        match what.is_empty() {
            true => anything.push(format!("`{}`", name(sample))),
            false => text += &format!("| `{sample}` | {what} |\n"),
        }
    }
    text += &format!(
        "| {}, and every target that is not listed | may do anything |\n",
        anything.join(", ")
    );
    text
}

fn listed(samples: &[&str]) -> String {
    let lines = samples.iter().map(|sample| format!("- `{sample}`\n"));
    lines.collect()
}

/// The name of a target.
fn name(sample: &str) -> &str {
    sample.split(' ').next().unwrap_or_default()
}

/// Whether nothing of a rule is judged both ways.
fn is_exact(rule: &str) -> bool {
    let dump = format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD {rule}\nCOMMIT\n"
    );
    let rules = read(&dump).unwrap_or_else(|error| panic!("{rule}: {error}"));
    unknown(&rules, IpFamily::V4).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_has_what_is_written() {
        let page = include_str!("../docs/auditing.md");
        assert!(
            page.contains(&text()),
            "put this into docs/auditing.md:\n{}",
            text()
        );
    }

    #[test]
    fn what_may_do_anything_is_in_doubt_and_what_goes_on_is_not() {
        for (sample, what) in TARGETS {
            let exact = is_exact(&format!("-j {sample}"));
            match *what {
                "" => assert!(!exact, "{sample}"),
                "goes on" | "drops" | "ACCEPT" | "DROP" | "RETURN" => assert!(exact, "{sample}"),
                _ => {}
            }
        }
        assert!(!is_exact("-j UNHEARD"));
        assert!(!is_exact("-m unheard --of -j ACCEPT"));
    }

    /// Every match and target that the proof names in its source has a sample.
    #[test]
    fn nothing_that_the_proof_knows_is_left_out() {
        let targets = include_str!("../src/prove/program/effect.rs");
        let (_, targets) = targets.split_once("fn other_effect").unwrap_or_default();
        let (targets, _) = targets.split_once("\n}\n").unwrap_or_default();
        let words = targets.split('"').skip(1).step_by(2);
        let is_name = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
        let mut seen = 0;
        for word in words.filter(is_name) {
            let mut samples = TARGETS.iter();
            assert!(samples.any(|(sample, _)| name(sample) == word), "{word}");
            seen += 1;
        }
        assert!(seen > 30, "{seen}");
        let extensions = std::fs::read_dir(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/netfilter/extension"
        ));
        let mut seen = 0;
        for entry in extensions.into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            // A match's name is small, a target's is not.
            let names = text.split("name: \"").skip(1);
            for word in names.filter_map(|rest| rest.split('"').next()) {
                let is_match = word.chars().all(|c| !c.is_ascii_uppercase());
                let mut samples = MATCHES.iter();
                let known = samples.any(|it| it.contains(&format!("-m {word}")));
                assert!(
                    !is_match || known || word.ends_with('6') || word == "hl",
                    "{word}"
                );
                seen += 1;
            }
        }
        assert!(seen > 15, "{seen}");
    }
}
