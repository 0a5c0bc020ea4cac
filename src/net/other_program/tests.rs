//! Tests of what programs' own files say.

use super::*;

fn claimed(program: NetworkProgram, files: &[(&str, &str)]) -> Vec<String> {
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let active = ActiveProgram::new(program, files.collect());
    let found = other_programs(&[active], ["eth0", "eth1", "cameras"].into_iter());
    let told = |other: OtherProgram| {
        let by = file_in_words(&other.by);
        other.links.into_iter().map(move |link| link + &by)
    };
    found.into_iter().flat_map(told).collect()
}

#[test]
fn ifupdown_has_what_is_started_and_has_a_method() {
    let by = |text| claimed(NetworkProgram::Ifupdown, &[("i", text)]);
    assert_eq!(
        by("auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n"),
        ["eth0 (i)"]
    );
    assert_eq!(
        by("allow-hotplug eth1\n  iface eth1 inet static\n address 10.0.0.1/8"),
        ["eth1 (i)"]
    );
    assert_eq!(
        by("auto \\\n  eth0\niface eth0 \\\ninet \\\nstatic\n"),
        ["eth0 (i)"]
    );
    assert_eq!(
        by("# off \\\nauto eth0\niface eth0 inet dhcp\n"),
        ["eth0 (i)"],
        "a comment ends with its line"
    );
    for left in [
        "iface eth0 inet dhcp\n",
        "auto eth0\niface eth0 inet manual\n",
        "auto eth0\n#iface eth0 inet dhcp\n",
        "auto eth00\niface eth00 inet dhcp\n",
    ] {
        assert!(by(left).is_empty(), "{left}");
    }
}

#[test]
fn interfaces_of_one_file_are_told_at_once() {
    let told = |program, path: &str, text: &str| {
        let active = ActiveProgram::new(program, vec![(path.into(), text.into())]);
        let found = other_programs(&[active], ["eth0", "eth1", "lan0"].into_iter());
        found.first().map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(
        told(NetworkProgram::Networkd, "a", "[Match]\nName=eth*\n"),
        "interfaces eth0, eth1 are also configured by systemd-networkd (a); write Unmanaged=yes under [Link] there"
    );
    assert_eq!(
        told(NetworkProgram::Dhcpcd, "d", "denyinterfaces lan0"),
        "interfaces eth0, eth1 are also configured by dhcpcd; write denyinterfaces eth0 eth1 in /etc/dhcpcd.conf, and restart it"
    );
}

#[test]
fn what_an_interfaces_file_has_read() {
    let text = "#source a\nsource interfaces.d/*\n source-directory \\\n/etc/x \nsources b\n";
    let named = |pattern: &str, of_folders| Sourced {
        pattern: pattern.into(),
        of_folders,
    };
    let all = [named("interfaces.d/*", false), named("/etc/x", true)];
    assert_eq!(sourced(text), all);
    for (name, is_read) in [
        ("eth0", true),
        ("x_1-a", true),
        ("x~", false),
        ("x.bak", false),
    ] {
        assert_eq!(is_in_source_directory(name), is_read, "{name}");
    }
    for (pattern, is_matched) in [
        ("eth[0-3]", true),
        ("eth[!0]", true),
        ("e[sx]h1", false),
        ("[a-f]t?1", true),
        ("eth[02]", false),
    ] {
        assert_eq!(matches_glob(pattern, "eth1"), is_matched, "{pattern}");
    }
}

#[test]
fn networkd_takes_the_first_file_that_matches() {
    let by = |files: &[(&str, &str)]| claimed(NetworkProgram::Networkd, files);
    let wired = ("20-wired", "[Match]\nType=ether\n[Network]\nDHCP=yes\n");
    assert_eq!(
        by(&[wired]),
        ["eth0 (20-wired)", "eth1 (20-wired)", "cameras (20-wired)"]
    );
    let camfw = ("10", "[Match]\nName=eth* cameras\n[Link]\nUnmanaged=yes\n");
    assert!(by(&[camfw, wired]).is_empty());
    assert_eq!(by(&[("a", "[Match]\nName=!eth*\n")]), ["cameras (a)"]);
    let containers = "[Match]\nVirtualization=container\nName=host0\n";
    assert!(by(&[("b", containers), ("c", "[Match]\nDriver=veth\n")]).is_empty());
    assert_eq!(by(&[("d", "[Match]\n;Name=*\nName=eth?\n")]).len(), 2);
}

#[test]
fn networkd_keeps_others_routes_if_its_settings_say_so() {
    let keeps = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| {
            let text = format!("[Network]\n{text}\n");
            ((*path).to_owned(), text)
        });
        let active = [ActiveProgram::new(
            NetworkProgram::Networkd,
            files.collect(),
        )];
        [false, true].map(|rules| keeps_others_routes(&active, rules))
    };
    let both = "ManageForeignRoutes=no\nManageForeignRoutingPolicyRules = off";
    let main = "/etc/systemd/networkd.conf";
    assert_eq!(keeps(&[]), [false; 2]);
    assert_eq!(keeps(&[("10.network", both)]), [false; 2]);
    assert_eq!(keeps(&[(main, both)]), [true; 2]);
    assert_eq!(keeps(&[(main, "ManageForeignRoutes=no")]), [true, false]);
    let more = (
        "/etc/systemd/networkd.conf.d/a.conf",
        "ManageForeignRoutes=yes",
    );
    assert_eq!(
        keeps(&[more, (main, both)]),
        [false; 2],
        "the folder's counts"
    );
    let other = "ManageForeignRoutes=yes\n[DHCPv4]\nManageForeignRoutes=no";
    assert_eq!(keeps(&[(main, other)]), [false; 2], "another section's");
    assert!(keeps_others_routes(&[], true), "it is not there");
}

#[test]
fn network_manager_and_dhcpcd_have_what_they_are_not_told_to_leave() {
    let by = |text| claimed(NetworkProgram::NetworkManager, &[("n", text)]);
    assert_eq!(by("[main]\nplugins=keyfile\n"), ["eth0", "eth1", "cameras"]);
    assert_eq!(
        by("[keyfile]\nunmanaged-devices=interface-name:eth*;mac:00:11:22:33:44:55\n"),
        ["cameras"]
    );
    assert_eq!(
        by("unmanaged-devices=*,except:interface-name:eth1,except:type:wifi\n"),
        ["eth1"]
    );
    assert!(
        by("unmanaged-devices=interface-name:eth*\nunmanaged-devices+=interface-name:=cameras")
            .is_empty()
    );
    let by = |text| claimed(NetworkProgram::Dhcpcd, &[("d", text)]);
    assert_eq!(by("denyinterfaces eth* \n"), ["cameras"]);
    assert_eq!(by("allowinterfaces eth1\n"), ["eth1"]);
    assert_eq!(by("hostname\n").len(), 3);
}
