//! Anyone's iptables-save text, as the program takes it: what it must not be
//! wrong about, and what it says.

mod support;

use std::error::Error;

use support::Scratch;

type Done = Result<(), Box<dyn Error>>;

const OUT: &str = "eth1: spoofed sources are kept out\n";

/// What a chain looked at alone lets through may have been marked, rewritten or
/// kept from conntrack before it came there.
#[test]
fn a_chain_alone_knows_not_what_was_done_before() -> Done {
    let scratch = Scratch::new("alone")?;
    for (before, rule) in [
        (
            "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j DNAT --to-destination 192.168.8.9\nCOMMIT\n",
            "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT\n",
        ),
        (
            "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n",
            "-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT\n",
        ),
        (
            "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j MARK --set-xmark 0x4/0x4\nCOMMIT\n",
            "-A FORWARD -m mark --mark 0x4/0x4 -j ACCEPT\n",
        ),
    ] {
        for chain in ["", "--chain filter/FORWARD"] {
            let (code, said) = scratch.prove(before, rule, chain)?;
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("ACCEPT by filter FORWARD 1 (line "), "{said}");
        }
        // The control: where nothing is done before, nothing gets there so.
        let (code, said) = scratch.prove("", rule, "--chain filter/FORWARD")?;
        let established = said.contains("but for what is taken for part of a connection");
        assert!(code == 0 && (said == OUT || established), "{said}");
    }
    Ok(())
}

/// A chain of somebody's own may be called for packets to the router, which leave
/// by no interface.
#[test]
fn a_chain_of_somebodys_own_is_looked_at_from_both_sides() -> Done {
    let scratch = Scratch::new("own")?;
    let rules = ":mine - [0:0]\n-A INPUT -j mine\n-A mine ! -o + -j DROP\n-A mine -o eth+ -j DROP\n-A mine -o ppp+ -j DROP\n-A mine -s 192.168.8.0/24 -j ACCEPT\n-A mine -j DROP\n";
    let (code, said) = scratch.prove("", rules, "--chain filter/mine")?;
    assert_eq!((code, said.as_str()), (0, OUT));
    let rules =
        ":mine - [0:0]\n-A INPUT -j mine\n-A mine -o + -m comment --comment any -j RETURN\n";
    let (code, said) = scratch.prove("", rules, "--chain filter/mine")?;
    assert_eq!(code, 1, "{said}");
    // Only a built-in chain has a policy.
    assert!(
        said.contains(" by filter mine 1 (line")
            || said.contains("ACCEPT by filter mine, end of the chain"),
        "{said}"
    );
    let rules = ":mine - [0:0]\n-A INPUT -j mine\n-A mine -o e+ -j DROP\n-A mine -o eth0 -j DROP\n-A mine -j ACCEPT\n";
    let (code, said) = scratch.prove("", rules, "--chain filter/mine")?;
    assert!(code == 1 && !said.contains("--to e"), "{said}");
    let (code, said) = scratch.prove("", rules, "--chain filter/OUTPUT")?;
    assert!(
        code == 2 && said.contains("came in by no interface"),
        "{said}"
    );
    Ok(())
}

/// What a target that is not known does to marks is not known either, and a mark
/// is set bit by bit.
#[test]
fn marks_are_set_as_the_rules_say() -> Done {
    let scratch = Scratch::new("marks")?;
    let table = |rules: &str| format!("*mangle\n:PREROUTING ACCEPT [0:0]\n{rules}COMMIT\n");
    let accept = "-A INPUT -m mark --mark 0x1/0x1 -j ACCEPT\n";
    for (rules, said) in [
        (
            "-A PREROUTING -p tcp -j TPROXY --on-port 80 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1\n",
            "cannot be told",
        ),
        ("-A PREROUTING -j ODD\n", "cannot be told"),
        (
            "-A PREROUTING -m socket --restore-skmark -j ACCEPT\n",
            "cannot be told",
        ),
        (
            "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff\n",
            "cannot be told",
        ),
        (
            "-A PREROUTING -j SET --map-set them src --map-mark\n",
            "cannot be told",
        ),
        (
            "-A PREROUTING -j MARK --set-xmark 0x1/0x0\n",
            "cannot be told",
        ),
        (
            "-A PREROUTING -j MARK --set-xmark 0x3/0xff\n",
            "NOT kept out",
        ),
        ("-A PREROUTING -j MARK --set-mark 0x3\n", "NOT kept out"),
        ("-A PREROUTING -j MARK --or-mark 0x1\n", "NOT kept out"),
        (
            "-A PREROUTING -j MARK --set-xmark 0x2/0xff\n",
            "are kept out\n",
        ),
        (
            "-A PREROUTING -j MARK --set-xmark 0x1/0x1\n-A PREROUTING -j MARK --and-mark 0xfe\n",
            "are kept out\n",
        ),
        (
            "-A PREROUTING -j MARK --set-xmark 0x1/0x1\n-A PREROUTING -j MARK --set-xmark 0x2/0x2\n",
            "NOT kept out",
        ),
        (
            "-A PREROUTING -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff\n",
            "are kept out\n",
        ),
    ] {
        let (_, found) = scratch.prove(&table(rules), accept, "")?;
        assert!(found.contains(said), "{rules}{found}");
    }
    Ok(())
}

/// Where DNAT may send to is all that its range holds, and nothing else.
#[test]
fn a_range_of_destinations_is_where_it_goes() -> Done {
    let scratch = Scratch::new("ranges")?;
    for (to, said) in [
        ("10.0.0.1-10.0.0.9", "cannot be told"),
        ("10.0.0.9-10.0.0.20", "cannot be told"),
        ("10.0.0.10-10.0.0.20", "are kept out\n"),
        ("10.0.0.3", "NOT kept out"),
        ("10.0.0.3:80", "NOT kept out"),
        ("10.0.0.3:81", "are kept out\n"),
        ("10.0.0.3:80-90", "cannot be told"),
        ("10.0.0.3:80-90/1000", "cannot be told"),
        ("10.0.0.3:81-90", "are kept out\n"),
        ("10.0.0.3-10.0.0.4:80-90 --random", "cannot be told"),
        ("odd", "cannot be told"),
    ] {
        let nat = format!(
            "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination {to}\nCOMMIT\n"
        );
        let rules = "-A FORWARD -d 10.0.0.0/29 -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -m conntrack --ctstate DNAT -j ACCEPT\n-A FORWARD -d 10.0.0.9/32 -m conntrack --ctstate DNAT -m conntrack --ctstate NEW -j ACCEPT\n";
        let (_, found) = scratch.prove(&nat, rules, "")?;
        assert!(found.contains(said), "{to}: {found}");
    }
    Ok(())
}

/// Each means the same as the other, for every packet, with nothing in doubt.
#[test]
fn what_others_write_is_understood() -> Done {
    let scratch = Scratch::new("others")?;
    for (one, other) in [
        ("-p tcp --dport 22", "-p tcp -m tcp --dport 22"),
        (
            "-p tcp -m state --state NEW --syn --dport 22",
            "-p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW",
        ),
        (
            "-p icmp --icmp-type echo-request",
            "-p icmp -m icmp --icmp-type 8",
        ),
        (
            "-p sctp -m sctp --dport 38412",
            "-p 132 -m multiport --dports 38412",
        ),
        (
            "-p udplite -m udplite ! --sport 1:9",
            "-p 136 -m multiport ! --sports 1:9",
        ),
        ("-p esp -m esp", "-p 50"),
        ("-i + -s 10.0.0.1", "-s 10.0.0.1/32"),
        ("-s 10.0.0.0/255.255.0.0", "-s 10.0.0.0/16"),
        ("-d 224.0.0.0/4", "-m addrtype --dst-type MULTICAST"),
        ("-m ttl --ttl-lt 1", "-m ttl --ttl-eq 0"),
        ("-m ttl ! --ttl-eq 255", "-m ttl --ttl-lt 255"),
        ("-m ttl --ttl-gt 254", "-m ttl --ttl-eq 255"),
    ] {
        let dump = |rule: &str| {
            // Conntrack, so that there are no fragments.
            format!(
                "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT {rule} -j ACCEPT\n-A OUTPUT -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n"
            )
        };
        scratch.write("one", &dump(one))?;
        scratch.write("other", &dump(other))?;
        scratch.write("none", &dump("! -i +"))?;
        let (code, said) = scratch.camfw("compare one other")?;
        let same = said.starts_with("the same becomes of every packet\n");
        assert!(code == 0 && same, "{one}: {said}");
        let (code, said) = scratch.camfw("compare none one")?;
        assert_eq!(code, 1, "{one}: {said}");
        assert!(!said.contains("perhaps"), "{one}: {said}");
    }
    Ok(())
}

/// An address under a mask with holes.
#[test]
fn a_mask_may_have_holes() -> Done {
    let scratch = Scratch::new("holes")?;
    let (_, said) = scratch.prove(
        "",
        "-A INPUT -i eth1 -s 192.168.0.7/255.255.0.255 -j ACCEPT\n",
        "",
    )?;
    assert!(
        said.contains("NOT kept out") && said.contains(".7 --dst "),
        "{said}"
    );
    let (_, said) = scratch.prove(
        "",
        "-A INPUT -i eth1 -s 192.168.8.7/255.255.255.7 -j ACCEPT\n",
        "",
    )?;
    assert_eq!(said, OUT);
    Ok(())
}

/// A router takes one hop before its FORWARD chains see the packet.
#[test]
fn a_forwarded_packet_has_a_hop_less() -> Done {
    let scratch = Scratch::new("hops")?;
    let mangle =
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m ttl ! --ttl-eq 10 -j DROP\nCOMMIT\n";
    for (hops, verdict) in [
        (9, "ACCEPT by filter FORWARD 1"),
        (10, "DROP by filter FORWARD policy"),
    ] {
        let rule = format!("-A FORWARD -m ttl --ttl-eq {hops} -j ACCEPT\n");
        scratch.prove(mangle, &rule, "")?;
        let (_, said) = scratch.camfw(
            "trace --rules rules --from eth1 --to eth0 --src 10.0.0.1 --dst 10.0.0.2 --ttl 10",
        )?;
        assert!(said.contains(verdict), "{said}");
    }
    // The packet that is shown is the one as it came.
    let (_, said) = scratch.prove("", "-A FORWARD -m ttl --ttl-eq 9 -j ACCEPT\n", "")?;
    assert!(said.contains("--ttl 10: ACCEPT"), "{said}");
    // A target may set them anew.
    let mangle = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j TTL --ttl-set 5\nCOMMIT\n";
    let (_, said) = scratch.prove(mangle, "-A INPUT -m ttl --ttl-eq 5 -j ACCEPT\n", "")?;
    assert!(said.contains("NOT kept out"), "{said}");
    let (_, said) = scratch.prove(mangle, "-A INPUT -m ttl --ttl-eq 6 -j ACCEPT\n", "")?;
    assert_eq!(said, OUT);
    Ok(())
}

/// What depends on more than the packet in one dump and not in the other may have
/// changed, and what does by other rules too.
#[test]
fn a_doubt_that_is_new_or_gone_is_a_change() -> Done {
    let scratch = Scratch::new("doubts")?;
    let dump = |rule: &str| {
        format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp {rule} -j ACCEPT\nCOMMIT\n"
        )
    };
    scratch.write("never", &dump("! -i +"))?;
    scratch.write("always", &dump(""))?;
    scratch.write("slowly", &dump("-m limit --limit 1/sec"))?;
    scratch.write("fast", &dump("-m limit --limit 9/sec"))?;
    for (old, new, what) in [
        ("slowly", "always", "perhaps let through"),
        ("always", "slowly", "perhaps dropped"),
        ("slowly", "never", "perhaps dropped"),
        ("slowly", "fast", "perhaps "),
    ] {
        let (code, said) = scratch.camfw(&format!("compare {old} {new}"))?;
        assert_eq!(code, 1, "{old} {new}: {said}");
        assert!(said.starts_with(what), "{old} {new}: {said}");
        let judged = said.contains("judged both ways") && said.contains("limit");
        assert_eq!(judged, new == "slowly" || new == "fast", "{said}");
    }
    let same = "the same becomes of every packet\nslowly: taken for IPv4: nothing in it says which; keep the first line that iptables-save or ip6tables-save prints\n";
    assert_eq!(
        scratch.camfw("compare slowly slowly")?,
        (0, same.to_owned())
    );
    Ok(())
}

/// A dump that is not what it seems is refused, and it is said why.
#[test]
fn a_dump_that_is_two_or_cut_off_is_refused() -> Done {
    let scratch = Scratch::new("two")?;
    let filter = |rule: &str| {
        format!(
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}COMMIT\n"
        )
    };
    let v4 = filter("-A INPUT -s 10.0.0.0/8 -j DROP\n");
    let v6 = filter("-A INPUT -s fd00::/8 -j DROP\n");
    let none = filter("");
    for (text, why) in [
        (format!("{v4}{none}"), "line 7: the table stands twice"),
        (
            filter("-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT -d fd00::/8 -j DROP\n"),
            "of IPv4, by line 5 (10.0.0.0/8), and of IPv6, by line 6 (fd00::/8); give a dump of one",
        ),
        (
            format!("# Generated by ip6tables-save v1.4.21 on Mon\n{v4}"),
            "its rules are of IPv4",
        ),
        (
            format!("# Generated by iptables-save v1.4.21 on Mon\n{v6}"),
            "its rules are of IPv6",
        ),
        (
            format!("{none}# Table `nat' is incompatible, use 'nft' tool.\n"),
            "line 6: iptables-save could not print",
        ),
        (
            format!(
                "# Table `nat' contains incompatible base-chains, use 'nft' tool to list them.\n{none}"
            ),
            "line 1: iptables-save could not print all of this table",
        ),
        (
            format!(
                "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n{none}"
            ),
            "line 1: the box has rules of iptables-legacy too, which are not in this dump",
        ),
        (
            format!(
                "{none}# Warning: ip6tables-legacy tables present, use ip6tables-legacy-save to see them\n"
            ),
            "line 6: the box has rules of iptables-legacy too",
        ),
        ("-P INPUT ACCEPT\n".into(), "line 1: not in a table"),
        (
            filter("-I INPUT -j DROP\n"),
            "line 5: neither a chain nor a rule",
        ),
        ("*filter\n:INPUT ACCEPT [0:0]\n".into(), "cut off"),
        (
            format!(
                "*filter\n-A INPUT -m comment --comment \"{}",
                "a".repeat(9999)
            ),
            "line 2: a quote is not closed",
        ),
    ] {
        scratch.write("rules", &text)?;
        for command in [
            "prove --rules rules --networks networks",
            "show matrix --rules rules --networks networks",
            "trace --rules rules --src 10.0.0.1 --dst 10.0.0.2 --from eth1 --to router",
            "compare rules rules",
        ] {
            let (code, said) = scratch.camfw(command)?;
            // Without a table it is taken for a configuration.
            if !command.starts_with("compare") || text.contains('*') {
                assert!(code == 2 && said.contains(why), "{command}: {said}");
            }
            assert!(said.len() < 440 && said.lines().count() == 1, "{said}");
        }
    }
    // The control, with a remark that nobody wrote for a parser.
    scratch.write("rules", &format!("# it is 19\" wide\n{v4}"))?;
    let (code, said) = scratch.camfw("prove --rules rules --networks networks")?;
    assert!(code == 1 && said.contains("NOT kept out"), "{said}");
    Ok(())
}

/// An address of IPv6 may stand in any option. Once a dump without its first line was judged
/// as IPv4 then, in which no packet met the rule, and everything held.
#[test]
fn a_dump_without_its_first_line_is_of_what_its_rules_are() -> Done {
    let scratch = Scratch::new("headless")?;
    let filter = |rule: &str| {
        format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}COMMIT\n"
        )
    };
    let range = filter("-A FORWARD -i eth1 -m iprange --src-range fd00:1::5-fd00:1::9 -j ACCEPT\n");
    let forward = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth1 -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001:db8::9]:8080\nCOMMIT\n".to_owned()
        + &filter("-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT\n");
    let masked = filter("-A FORWARD -i eth1 -s ::1/::ffff -j ACCEPT\n");
    scratch.write(
        "networks",
        "eth0 any !192.168.0.0/16 !fd00::/8\neth1 192.168.8.0/24 fd00:1::/64\n",
    )?;
    let never = "[[guarantees]]\nnever = { from = \"eth1\", to = \"eth0\" }\n";
    scratch.write("guarantees.toml", never)?;
    scratch.write("without", &filter(""))?;
    for text in [range, forward, masked] {
        scratch.write("rules", &text)?;
        let (code, said) = scratch
            .camfw("prove --rules rules --networks networks --guarantees guarantees.toml")?;
        assert!(
            code == 1 && said.starts_with("does not hold: IPv6: ") && !said.contains("taken for"),
            "{text}: {said}"
        );
        // What does not tell is of the family of what it is compared with. The words for a
        // mask with holes over 128 bits take compare too long.
        if text.contains("/::ffff") {
            continue;
        }
        let (code, said) = scratch.camfw("compare rules without")?;
        assert!(
            code == 1
                && said.starts_with("IPv6: dropped")
                && said.contains("without: taken for IPv6"),
            "{text}: {said}"
        );
        let (_, said) = scratch
            .camfw("trace --rules rules --from eth0 --to eth1 --src 2001:db8::1 --dst fd00:1::2")?;
        assert!(
            said.ends_with("DROP by filter FORWARD policy\n"),
            "{text}: {said}"
        );
    }
    // Where nothing tells, it is said which is taken.
    scratch.write("rules", &filter("-A FORWARD -i eth1 -j ACCEPT\n"))?;
    let taken = "rules: taken for IPv4: nothing in it says which; keep the first line";
    for (command, code) in [
        ("prove --rules rules --networks networks", 1),
        ("show matrix --rules rules --networks networks", 0),
        ("compare rules rules", 0),
    ] {
        let (found, said) = scratch.camfw(command)?;
        assert!(found == code && said.contains(taken), "{command}: {said}");
    }
    let (_, said) = scratch
        .camfw("trace --rules rules --from eth1 --to eth0 --src fd00:1::2 --dst 2001:db8::1")?;
    assert!(said.contains("ACCEPT by filter FORWARD 1"), "{said}");
    Ok(())
}

/// Networks of interfaces that the rules do not have say nothing about these rules.
#[test]
fn interfaces_that_only_one_of_both_has_are_named() -> Done {
    let scratch = Scratch::new("strays")?;
    let rules = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A FORWARD -s 192.168.8.0/24 -i enp2s0 -o enp1s0 -j ACCEPT\nCOMMIT\n";
    scratch.write("rules", rules)?;
    scratch.write(
        "networks",
        "lo 192.168.8.1\neth0 any !192.168.0.0/16\neth1 192.168.8.0/24\n",
    )?;
    for command in [
        "prove --rules rules --networks networks",
        "show matrix --rules rules --networks networks",
        "trace --rules rules --networks networks --src 192.168.8.2 --dst 1.1.1.1",
    ] {
        let (code, said) = scratch.camfw(command)?;
        let refused = "camfw: networks: has no line for any interface that rules names, which are enp1s0, enp2s0; write what is behind each of them\n";
        assert_eq!((code, said.as_str()), (2, refused), "{command}");
    }
    scratch.write("networks", "enp2s0 192.168.8.0/24\neth1 192.168.9.0/24\n")?;
    for command in ["prove", "show matrix"] {
        let (_, said) = scratch.camfw(&format!("{command} --rules rules --networks networks"))?;
        for note in [
            "nothing is asked about enp1s0, which rules names: networks has no line for it\n",
            "rules names eth1 of networks in no rule\n",
        ] {
            assert!(said.contains(note), "{command}: {said}");
        }
    }
    // A name with a plus has all that begin so; rules that name none meet every one.
    scratch.write("networks", "enp+ 192.168.8.0/24\n")?;
    let (_, said) = scratch.camfw("prove --rules rules --networks networks")?;
    assert!(!said.contains("nothing is asked"), "{said}");
    scratch.write("rules", &rules.replace(" -i enp2s0 -o enp1s0", ""))?;
    let (code, said) = scratch.camfw("prove --rules rules --networks networks")?;
    assert!(code == 0 && !said.contains("in no rule"), "{said}");
    Ok(())
}

/// The family that a dump names counts where its rules tell nothing.
#[test]
fn a_dump_is_of_the_family_that_it_names() -> Done {
    let scratch = Scratch::new("family")?;
    let text = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
    scratch.write(
        "four",
        &format!("# Generated by iptables-save v1.8.9 (nf_tables) on Mon\n{text}"),
    )?;
    scratch.write(
        "six",
        &format!("# Generated by ip6tables-save v1.8.9 on Mon\n{text}"),
    )?;
    let (_, said) = scratch.camfw("prove --rules six --networks networks")?;
    assert!(said.contains("--src 2001:db8::1 --dst fd00::1 "), "{said}");
    let (_, said) = scratch.camfw("prove --rules four --networks networks")?;
    assert!(
        said.contains("--src 198.51.100.1 --dst 192.168.8.1 "),
        "{said}"
    );
    let (code, said) = scratch.camfw("compare four six")?;
    assert!(
        code == 2 && said.contains("give two of one family"),
        "{said}"
    );
    let (code, said) =
        scratch.camfw("trace --rules six --from eth1 --to eth0 --src 10.0.0.1 --dst 10.0.0.2")?;
    assert!(
        code == 2 && said.contains("the rules are of IPv6"),
        "{said}"
    );
    scratch.write("networks", "eth1 192.168.8.0/24\n")?;
    let (_, said) = scratch.camfw("prove --rules six --networks networks")?;
    assert!(
        said.contains("eth1: networks has no IPv6 network for it"),
        "{said}"
    );
    scratch.write("networks", "# nothing\n")?;
    let (code, said) = scratch.camfw("prove --rules six --networks networks")?;
    assert!(code == 2 && said.contains("names no interface"), "{said}");
    Ok(())
}

/// Text that a match looks for is no option of the rule.
#[test]
fn what_a_match_looks_for_is_no_option() -> Done {
    let scratch = Scratch::new("text")?;
    let (code, said) = scratch.prove(
        "",
        "-A INPUT -m string --string -f --algo bm -j ACCEPT\n",
        "",
    )?;
    assert!(
        code == 1 && said.contains("cannot be told") && !said.contains("--fragment"),
        "{said}"
    );
    Ok(())
}

/// Each by what real packets were met by, with both backends: conntrack gives an
/// ICMPv6 redirect a state, and neighbour discovery with a wrong checksum too;
/// type 255 stands for any in IPv4 alone.
#[test]
fn what_conntrack_makes_of_icmpv6() -> Done {
    let scratch = Scratch::new("icmpv6")?;
    let of = "-p ipv6-icmp -m icmp6 --icmpv6-type";
    for (rules, open) in [
        (
            format!(
                "-A INPUT -m conntrack --ctstate UNTRACKED -j DROP\n-A INPUT {of} 137 -j ACCEPT\n"
            ),
            true,
        ),
        (
            format!(
                "-A INPUT -m conntrack --ctstate INVALID,NEW,RELATED,ESTABLISHED -j DROP\n-A INPUT {of} 137 -j ACCEPT\n"
            ),
            false,
        ),
        (
            format!(
                "-A INPUT -m conntrack --ctstate UNTRACKED -j DROP\n-A INPUT {of} 135 -j ACCEPT\n"
            ),
            true,
        ),
        (
            format!(
                "-A INPUT -m conntrack --ctstate UNTRACKED,INVALID -j DROP\n-A INPUT {of} 135 -j ACCEPT\n"
            ),
            false,
        ),
        (
            format!(
                "-A INPUT {of} 255 -j DROP\n-A INPUT -p ipv6-icmp -m conntrack --ctstate INVALID -j ACCEPT\n"
            ),
            true,
        ),
    ] {
        let (code, said) = scratch.prove("", &rules, "")?;
        assert_eq!(
            (code == 1, said.contains("NOT kept out")),
            (open, open),
            "{rules}{said}"
        );
    }
    let any = "-A INPUT -p icmp -m icmp --icmp-type 255 -j DROP\n-A INPUT -p icmp -m conntrack --ctstate INVALID -j ACCEPT\n";
    assert_eq!(scratch.prove("", any, "")?, (0, OUT.to_owned()));
    Ok(())
}

/// A packet by a tunnel has no hardware address, and meets neither one nor its
/// negation (mac_mt in xt_mac.c).
#[test]
fn a_packet_by_a_tunnel_has_no_hardware_address() -> Done {
    let scratch = Scratch::new("tunnel")?;
    let rules = "-A INPUT -m mac ! --mac-source 02:00:00:00:00:01 -j DROP\n-A INPUT -m mac --mac-source 02:00:00:00:00:01 -j DROP\n-A INPUT -i eth1 -j ACCEPT\n";
    let (code, said) = scratch.prove("", rules, "")?;
    assert!(
        code == 1 && said.contains("cannot be told") && !said.contains("--mac "),
        "{said}"
    );
    let rules = "-A INPUT -m mac ! --mac-source 02:00:00:00:00:01 -j ACCEPT\n";
    let (code, said) = scratch.prove("", rules, "")?;
    assert!(
        code == 1 && said.contains("NOT kept out") && said.contains(" --mac "),
        "{said}"
    );
    Ok(())
}

/// Prefixes are translated on the way, and what was known of the address no longer
/// holds.
#[test]
fn a_translated_prefix_is_another_address() -> Done {
    let scratch = Scratch::new("prefix")?;
    let mangle = "*mangle\n:PREROUTING ACCEPT [0:0]\n:inner - [0:0]\n:deep - [0:0]\n-A PREROUTING -d fd01::/64 -j inner\n-A PREROUTING -j DROP\n-A inner -j DNPT --src-pfx fd01::/64 --dst-pfx fd02::/64\n-A inner -j deep\n-A deep -d fd02::/64 -j ACCEPT\n-A deep -j DROP\nCOMMIT\n";
    let (code, said) = scratch.prove(mangle, "-A FORWARD -d fd02::/64 -j ACCEPT\n", "")?;
    assert!(code == 1 && said.contains("cannot be told"), "{said}");
    assert!(said.contains("-j DNPT"), "{said}");
    Ok(())
}

/// Who sends a copy elsewhere lets packets through, whatever becomes of the packet
/// itself; who only tells a program of them does not; and what a program decides
/// cannot be told.
#[test]
fn a_copy_that_arrives_elsewhere_is_a_way_through() -> Done {
    let scratch = Scratch::new("copies")?;
    for (target, said) in [
        ("TEE --gateway 10.0.0.9", "NOT kept out"),
        ("NFLOG --nflog-group 3", "are kept out"),
        ("ULOG --ulog-nlgroup 3", "are kept out"),
        ("LOG", "are kept out"),
        ("AUDIT --type drop", "are kept out"),
        ("REJECT --reject-with icmp-host-prohibited", "are kept out"),
        ("TARPIT", "are kept out"),
        ("DELUDE", "are kept out"),
        ("STEAL", "are kept out"),
        ("CHAOS --tarpit", "are kept out"),
        ("NFQUEUE --queue-num 0", "cannot be told"),
        ("NFQUEUE --queue-num 0 --queue-bypass", "cannot be told"),
        ("QUEUE", "cannot be told"),
        ("MIRROR", "cannot be told"),
        ("ECHO", "cannot be told"),
        ("SYNPROXY --sack-perm", "cannot be told"),
    ] {
        let rule = |chain| format!("-A {chain} -i eth1 ! -s 192.168.8.0/24 -j {target}\n");
        let code = i32::from(said != "are kept out");
        for chain in ["INPUT", "FORWARD"] {
            let found = scratch.prove("", &rule(chain), "")?;
            assert!(
                found.0 == code && found.1.contains(said),
                "{chain} {target}: {}",
                found.1
            );
        }
        let table = |name| {
            format!(
                "*{name}\n:PREROUTING ACCEPT [0:0]\n{}COMMIT\n",
                rule("PREROUTING")
            )
        };
        for name in ["raw", "mangle"] {
            let found = scratch.prove(&table(name), "", "")?;
            // What a program lets through there still meets the filter.
            let expected = match target.starts_with("TEE") {
                true => (1, "NOT kept out"),
                false => (0, "are kept out"),
            };
            assert!(
                found.0 == expected.0 && found.1.contains(expected.1),
                "{name} {target}: {}",
                found.1
            );
        }
    }
    // A copy of what has a source of its own is not spoofed, and one that OUTPUT
    // may drop, or that a limit may leave out, perhaps leaves.
    for (rules, said) in [
        (
            "-A FORWARD -i eth1 -s 192.168.8.0/24 -j TEE --gateway 10.0.0.9\n",
            "are kept out",
        ),
        (
            "-A FORWARD -i eth1 -m limit --limit 1/sec -j TEE --gateway 10.0.0.9\n",
            "cannot be told",
        ),
        (
            "-A OUTPUT -d 10.0.0.9 -j DROP\n-A FORWARD -i eth1 -j TEE --gateway 10.0.0.9\n",
            "cannot be told",
        ),
        (
            "-A FORWARD -i eth1 ! -s 192.168.8.0/24 -j DROP\n-A FORWARD -i eth1 -j TEE --gateway 10.0.0.9\n",
            "are kept out",
        ),
    ] {
        let (_, found) = scratch.prove("", rules, "")?;
        assert!(found.contains(said), "{rules}{found}");
    }
    Ok(())
}

/// What cannot be told has its reason below, also where a rule tests what some packets lack.
#[test]
fn what_cannot_be_told_has_a_reason() -> Done {
    let scratch = Scratch::new("reasons")?;
    for (rule, reason) in [
        (
            "-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT\n-A FORWARD -j DROP\n",
            None,
        ),
        (
            "-A FORWARD ! -f -j DROP\n-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT\n",
            Some("ports, flags and types, in fragments after the first"),
        ),
        (
            "-A FORWARD -m mac ! --mac-source 02:00:00:00:00:01 -j DROP\n-A FORWARD -m mac --mac-source 02:00:00:00:00:01 -j DROP\n-A FORWARD -j ACCEPT\n",
            Some("-m mac ! --mac-source, of what came in by a tunnel"),
        ),
    ] {
        let (code, said) = scratch.prove("", rule, "--claim spoofing")?;
        assert_eq!(code, 1, "{rule}: {said}");
        let told = said.contains("cannot be told");
        assert_eq!(told, reason.is_some(), "{rule}: {said}");
        assert_eq!(said.contains("judged both ways"), told, "{rule}: {said}");
        assert!(said.contains(reason.unwrap_or_default()), "{rule}: {said}");
    }
    Ok(())
}
