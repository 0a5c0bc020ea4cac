//! Any text as anyone's rules: guarantees about them are found without a panic, each with a
//! packet of which the judge of one packet says the same, and never and always exclude each
//! other.

#![no_main]

use std::net::IpAddr;

use camfw::family::IpFamily;
use camfw::netfilter::{family_of_dump, read};
use camfw::policy::{DumpEnd, DumpGuarantee, GuaranteeKind, Origin, Service};
use camfw::prove::{self, ClaimResult};
use camfw::source::Source;
use libfuzzer_sys::fuzz_target;

const NETWORKS: &str = "eth0 any !10.0.0.0/8\neth1 10.1.0.0/16 fd00:1::/64\nlo 10.1.0.1 fd00:1::1\n";

fn end(interface: Option<usize>, address: Option<IpAddr>) -> DumpEnd {
    DumpEnd {
        interface,
        network: address.map(Into::into),
        name: "end".into(),
    }
}

/// TCP to port 22.
fn ssh() -> Service {
    Service {
        name: None,
        tcp: camfw::field::PortRange::new(22, 22).into_iter().collect(),
        udp: Vec::new(),
        icmp: Vec::new(),
        protocols: Vec::new(),
        source_ports: Vec::new(),
        everything: false,
        passive: None,
        helper: false,
    }
}

fuzz_target!(|text: &str| {
    let Ok(ruleset) = read(text) else {
        return;
    };
    let family = family_of_dump(text).ok().flatten().unwrap_or(IpFamily::V4);
    let Ok(networks) = prove::networks(NETWORKS) else {
        return;
    };
    let origin = Origin::new(&Source::new("g.toml", ""), 0);
    let ends = [
        end(Some(0), None),
        end(Some(1), None),
        end(Some(1), "10.1.0.7".parse().ok()),
        end(None, None),
    ];
    let mut guarantees = Vec::new();
    for from in &ends {
        for to in ends.iter().filter(|to| to.interface != from.interface) {
            for kind in [GuaranteeKind::Never, GuaranteeKind::Always] {
                guarantees.push(DumpGuarantee {
                    kind,
                    from: from.clone(),
                    to: to.clone(),
                    services: Some(vec![ssh()]),
                    origin: origin.clone(),
                });
            }
        }
    }
    let results = prove::guaranteed(&ruleset, family, &networks, &guarantees);
    let results: Vec<Option<ClaimResult>> = results.into_iter().map(|(_, it)| it).collect();
    for pair in results.chunks(2) {
        let holds = pair.iter().all(|it| *it == Some(ClaimResult::Holds));
        assert!(!holds, "both never and always: {text}");
    }
    for (guarantee, result) in guarantees.iter().zip(&results) {
        let Some(ClaimResult::Broken(example)) = result else {
            continue;
        };
        let passes = example.verdict.to_string() == "ACCEPT";
        let sent_on = example.by.contains(", sent on to ");
        let as_said = match guarantee.kind {
            GuaranteeKind::Never => passes,
            GuaranteeKind::Always => !passes || sent_on,
        };
        assert!(as_said, "{example:?}: {text}");
    }
});
