//! The page holds what it is given, and nothing else.

use std::net::{IpAddr, Ipv4Addr};

use super::{PageFacts, report};
use crate::observe::accounting::{Accounting, AllowLine};
use crate::observe::presence::{
    CameraPresence, CameraState, HostProblem, HostProblemKind, InterfacePresence, Presence,
    UnlistedHost, ZonePresence,
};
use crate::observe::wanted::{BlockedHost, Tried};
use crate::prove::NamedMatrix;

/// What a host would have the page say.
const HOSTILE: &str =
    "</li><script>alert(1)</script><img src=http://x/ onerror='x'>\"\u{1b}[2J\u{202e}&";

fn tried(count: u64) -> Tried {
    Tried {
        to: IpAddr::from([203, 0, 113, 9]),
        name: Some(HOSTILE.to_owned()),
        protocol: 6,
        port: 443,
        service: HOSTILE.to_owned(),
        reason: "not allowed",
        count,
        first: 1_795_600_000,
        last: 1_795_676_000,
        allow: None,
    }
}

/// A box with so many cameras, of which each tried so much, and everything that a network
/// or a file names hostile.
fn presence(cameras: usize) -> Presence {
    let camera = |number: usize| CameraPresence {
        name: format!("camera-{number} {HOSTILE}"),
        address: Ipv4Addr::from(0xc0a8_0800 + number as u32),
        mac: None,
        hardware: Some("00:11:22:33:44:55".to_owned()),
        addresses6: Vec::new(),
        state: CameraState::Seen,
        last_seen: Some(1_795_676_000),
        packets: Some(1_234_567),
        lease_until: None,
    };
    Presence {
        now: 1_795_676_731,
        watching: true,
        silent_after: 3600,
        zones: vec![ZonePresence {
            name: HOSTILE.to_owned(),
            role: "camera",
            interface: InterfacePresence {
                name: "eth1".to_owned(),
                exists: true,
                up: true,
                link: true,
                ..InterfacePresence::default()
            },
            cameras: (1..=cameras).map(camera).collect(),
            named: Vec::new(),
            others: vec![UnlistedHost {
                hardware: None,
                addresses: vec![IpAddr::from([192, 168, 8, 77])],
                more_addresses: 0,
                last_seen: None,
                calls_itself: Some(HOSTILE.to_owned()),
                line: None,
            }],
            others_left_out: 12,
        }],
        problems: vec![HostProblem {
            kind: HostProblemKind::TwoDevices,
            camera: format!("camera-1 {HOSTILE}"),
            zone: HOSTILE.to_owned(),
            last: 5,
            text: HOSTILE.to_owned(),
        }],
        unread: vec![HOSTILE.to_owned()],
    }
}

#[test]
fn each_thing_is_said_once() {
    let presence = presence(1);
    let said = |why, drift: &[&str]| {
        let drift: Vec<String> = drift.iter().map(|&line| line.to_owned()).collect();
        report(&PageFacts {
            now: 1_795_676_731,
            state: "LAST GOOD",
            why,
            since: None,
            holds: false,
            in_force: true,
            policy: None,
            drift: &drift,
            needs: &["a cable".to_owned()],
            notes: &[],
            presence: &presence,
            blocked: &[],
            days: &[],
            accounting: &Accounting::default(),
            matrices: &[],
            claims: &[],
            mail: None,
            ways: &[],
            files: &[],
        })
    };
    for (why, drift) in [
        (None, &["it is not recorded"] as &[_]),
        (None, &["it is not recorded", "a rule is not so"]),
        (
            Some("of this"),
            &["not the file: of this", "a rule is not so"],
        ),
        (Some("of this"), &["a rule is not so"]),
    ] {
        let page = said(why, drift);
        for line in drift.iter().chain(&why).chain(&["a cable"]) {
            assert_eq!(page.matches(line).count(), 1, "{line}: {drift:?}");
        }
    }
}

#[test]
fn each_family_has_its_table() {
    let presence = presence(0);
    let matrix = |title: &str| {
        Some(NamedMatrix {
            title: title.to_owned(),
            rows: Vec::new(),
            columns: Vec::new(),
            cells: Vec::new(),
            of_policy: true,
        })
    };
    let said = |matrices: &[Option<NamedMatrix>]| {
        report(&PageFacts {
            now: 1_795_676_731,
            state: "APPLIED",
            why: None,
            since: None,
            holds: true,
            in_force: true,
            policy: None,
            drift: &[],
            needs: &[],
            notes: &[],
            presence: &presence,
            blocked: &[],
            days: &[],
            accounting: &Accounting::default(),
            matrices,
            claims: &[],
            mail: None,
            ways: &[],
            files: &[],
        })
    };
    let one = said(&[matrix("any connection")]);
    assert!(one.contains("Who may reach whom") && !one.contains("any connection"));
    let both = said(&[matrix("IPv4, any"), matrix("IPv6, any")]);
    assert!(both.contains("<h3>IPv4, any</h3>") && both.contains("<h3>IPv6, any</h3>"));
    assert_eq!(both.matches("<thead>").count(), 2);
    let lost = said(&[matrix("IPv4, any"), None]);
    assert!(lost.contains("takes too much memory"), "it is told");
}

fn page(cameras: usize, lines: usize) -> String {
    let blocked = |number: usize| BlockedHost {
        zone: Some("camera".to_owned()),
        camera: number
            .is_multiple_of(2)
            .then(|| format!("camera-{number} {HOSTILE}")),
        address: IpAddr::from([192, 168, 8, 9]),
        addresses: vec![IpAddr::from([192, 168, 8, 9])],
        more_addresses: 0,
        hardware: Some(HOSTILE.to_owned()),
        hardware_of: Some(HOSTILE.to_owned()),
        tried: (1..=20).map(tried).collect(),
    };
    let blocked: Vec<BlockedHost> = (1..=cameras).map(blocked).collect();
    let allow = (0..cameras).map(|number| AllowLine {
        line: "c.toml:3".to_owned(),
        what: format!("camera-{number} {HOSTILE} {HOSTILE}"),
        new_connections: u64::MAX,
        new_connection_bytes: 1,
    });
    let accounting = Accounting {
        allow: allow.collect(),
        ..Accounting::default()
    };
    let text = format!("# {HOSTILE}\n").repeat(lines);
    let hostile = vec![HOSTILE.repeat(40); cameras];
    let claims: Vec<(bool, String)> = hostile.iter().map(|it| (false, it.clone())).collect();
    report(&PageFacts {
        now: 1_795_676_731,
        state: "APPLIED",
        why: Some(HOSTILE),
        since: Some(1_795_600_000),
        holds: true,
        in_force: true,
        policy: Some("0123456789abcdef"),
        drift: &hostile,
        needs: &hostile,
        notes: &hostile,
        presence: &presence(cameras),
        blocked: &blocked,
        days: &[(20_782, u64::MAX), (20_783, 12)],
        accounting: &accounting,
        matrices: &[],
        claims: &claims,
        mail: None,
        ways: &[],
        files: &[(HOSTILE.to_owned(), text)],
    })
}

/// Every element with its attributes; each ends where it must.
fn elements(page: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    let body = page.trim_start_matches("<!DOCTYPE html>\n");
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_default();
        assert!(!text.contains('>') || tag == "style", "{part}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{part}");
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{part}");
        found.push(tag.to_owned());
        if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or_default());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    found
}

#[test]
fn nothing_of_a_network_is_markup() {
    let page = page(3, 5);
    let elements = elements(&page);
    let names = [
        "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "h1", "h2",
        "h3", "h4", "p", "ul", "li", "div", "span", "b", "svg", "rect", "line", "text", "table",
        "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "details", "summary", "pre",
    ];
    for element in &elements {
        let name = element.split([' ', '/']).next().unwrap_or_default();
        assert!(names.contains(&name), "{element}");
        assert!(!element.contains(" on"), "{element}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"), "it is told");
    for outside in ["src=\"", "href=\"", "url(", "@import", "\u{1b}", "\u{202e}"] {
        assert!(!page.contains(outside), "{outside:?}");
    }
    // What a browser may do is nothing.
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_page_is_never_larger_than_a_megabyte() {
    let page = page(1000, 50_000);
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(page.contains("and 800 more"), "what is left out is told");
    assert!(page.ends_with("</html>\n"));
    elements(&page);
}
