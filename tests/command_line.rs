//! What help says of each command, and what is said where a word or a flag is none.
//!
//! `UPDATE=1 cargo test` writes tests/help; read the difference before you commit it.

mod support;

use std::error::Error;
use std::fs;
use std::path::Path;

use camfw::cli::{COMMANDS, Command, EVERY_COMMANDS_FLAGS};
use camfw::exit_code::ExitCode;
use support::Scratch;

type Done = Result<(), Box<dyn Error>>;

fn shown() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.is_hidden())
}

/// Holds text against a file of tests/help.
fn expect(name: &str, text: &str) -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let path = folder.join(name.replace(' ', "-") + ".txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text)?;
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
    assert_eq!(expected, text, "help of {name}");
    let wide = text.lines().find(|line| line.chars().count() > 99);
    assert_eq!(
        wide, None,
        "help of {name}: a line is too wide for a terminal"
    );
    Ok(())
}

#[test]
fn a_list_that_is_not_there_is_told_with_the_line_that_names_it() -> Done {
    let scratch = Scratch::new("no-list")?;
    let config = "[zones.net]\ninterface = \"eth0\"\naddress = \"dhcp\"\nrole = \"external\"\n\
        [[deny]]\nfrom = \"net\"\nto = \"any\"\nsource = \"@/nowhere/l.txt\"\n";
    scratch.write("c.toml", config)?;
    let (code, said) = scratch.camfw("--config c.toml check")?;
    assert_eq!(code, 2, "{said}");
    let place = "or remove @ and its path from the file (the list is named at c.toml:8)\n";
    assert!(said.ends_with(place), "{said}");
    Ok(())
}

#[test]
fn help_of_each_command_is_as_written() -> Done {
    let scratch = Scratch::new("help")?;
    let (code, all) = scratch.camfw("help")?;
    assert_eq!(code, 0);
    expect("camfw", &all)?;
    for command in shown() {
        let name = command.name;
        let (code, help) = scratch.camfw(&format!("help {name}"))?;
        assert_eq!(code, 0, "{name}");
        expect(name, &help)?;
        assert!(all.contains(command.summary), "{name}");
        for asked in [
            format!("{name} --help"),
            format!("--help {name}"),
            format!("{name} -h"),
        ] {
            assert_eq!(scratch.camfw(&asked)?, (0, help.clone()), "{asked}");
        }
    }
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help"))?.count();
    assert_eq!(
        files,
        shown().count() + 1,
        "tests/help has a file of no command"
    );
    Ok(())
}

#[test]
fn every_flag_is_in_the_help_of_its_command() -> Done {
    let scratch = Scratch::new("flags")?;
    for command in shown() {
        let (_, help) = scratch.camfw(&format!("help {}", command.name))?;
        for flag in command.flags.iter().chain(EVERY_COMMANDS_FLAGS) {
            assert!(help.contains(&flag.written()), "{}: {flag:?}", command.name);
            assert!(!flag.help.is_empty(), "{}: {flag:?}", command.name);
        }
    }
    Ok(())
}

#[test]
fn help_of_a_group_names_its_commands() -> Done {
    let scratch = Scratch::new("group")?;
    let (code, said) = scratch.camfw("help show")?;
    assert_eq!((code, said.lines().count()), (0, 12), "{said}");
    assert_eq!(scratch.camfw("show --help")?, (0, said));
    let (code, said) = scratch.camfw("help fly")?;
    assert!(code == 2 && said.contains("check, show rules"), "{said}");
    Ok(())
}

#[test]
fn what_is_none_is_told_with_what_there_is() -> Done {
    let scratch = Scratch::new("usage")?;
    for (arguments, told) in [
        ("", "no command was given; see camfw help"),
        (
            "fly",
            "no command is called \"fly\"; there are check, show rules",
        ),
        (
            "show",
            "no command is called \"show\"; there are show rules, show network",
        ),
        (
            "show off",
            "no command is called \"show off\"; there are show rules",
        ),
        (
            "status --nft",
            "status does not take --nft; it takes --all, --json, --config",
        ),
        (
            "status --fast",
            "status does not take --fast; it takes --all",
        ),
        ("-x", "no command takes -x; see camfw help"),
        (
            "apply now",
            "write it as: camfw apply; a file is named by --config FILE",
        ),
        ("compare one", "write it as: camfw compare OLD NEW"),
        (
            "apply --confirm",
            "--confirm needs a TIME after it, such as 90, 5m or \"5 minutes\"",
        ),
        ("apply -confirm 90", "write --confirm, with two dashes"),
        ("chek", "no command is called \"chek\"; did you mean check?"),
        (
            "status --jsn",
            "status does not take --jsn; did you mean --json?",
        ),
        (
            "apply --confirm 0",
            "--confirm 0: is no time from 1 to 86400 seconds",
        ),
        (
            "apply --confirm 25h",
            "--confirm 25h: is no time from 1 to 86400 seconds",
        ),
        (
            "show matrix --proto x",
            "--proto x: is no protocol; use tcp, udp",
        ),
        ("show matrix --rules x", "x: cannot read it: No such file"),
        (
            "prove --claim spoofing",
            "--networks, --guarantees, --chain and --claim go with --rules",
        ),
        (
            "prove --rules x --claim y",
            "--claim y: no claim is called so; use spoofing or related",
        ),
        (
            "prove --rules x --chain y",
            "--chain y: write a table and its chain: filter/FORWARD",
        ),
    ] {
        let (code, said) = scratch.camfw(arguments)?;
        assert_eq!(code, ExitCode::Refused as i32, "{arguments}: {said}");
        assert!(
            said.starts_with("camfw: ") && said.contains(told),
            "{arguments}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{arguments}: {said}");
    }
    Ok(())
}

/// `check` has a line for each mistake; who carries a file out says the first, and that
/// there are more.
#[test]
fn check_tells_all_that_is_wrong() -> Done {
    let scratch = Scratch::new("all")?;
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refuse/several-in-all-tables");
    let config = case.join("config.toml").display().to_string();
    let expected = fs::read_to_string(case.join("error.txt"))?;
    let count = expected.lines().count();
    assert!(count > 10, "{count}");
    let (code, said) = scratch.camfw(&format!("check --config {config}"))?;
    assert_eq!(code, ExitCode::Refused as i32, "{said}");
    let told = said.replace(&format!("camfw: {config}"), "config.toml");
    assert_eq!(told, expected);
    let (code, said) = scratch.camfw(&format!("show rules --config {config}"))?;
    assert_eq!(code, ExitCode::Refused as i32, "{said}");
    let more = format!("(and {} more; camfw check shows all)\n", count - 1);
    assert!(said.ends_with(&more) && said.lines().count() == 1, "{said}");
    Ok(())
}

/// Whose packet it is that has a listed camera's address is said, if it was not given.
#[test]
fn trace_says_whose_packet_it_assumed() -> Done {
    let scratch = Scratch::new("assumed")?;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cameras/config.toml");
    let trace = format!("trace --config {} --dst 192.168.8.1", config.display());
    // By address and port, and by names.
    for packet in ["--src 192.168.8.110 --dport 21", "--src porch --dport ftp"] {
        let (_, said) = scratch.camfw(&format!("{trace} {packet}"))?;
        let assumed = "assumed: it is camera porch itself, --mac 00:11:22:33:44:55";
        assert!(
            said.starts_with(assumed) && !said.contains("spoofed-"),
            "{said}"
        );
        let other = format!("{trace} {packet} --mac 00:11:22:33:44:56");
        let (_, said) = scratch.camfw(&other)?;
        assert!(
            !said.contains("assumed") && said.contains("DROP by raw"),
            "{said}"
        );
    }
    for (packet, told) in [
        ("--src porhc --dport 21", "or a camera's name"),
        ("--src porch --dport fpt", "did you mean ftp"),
    ] {
        let (code, said) = scratch.camfw(&format!("{trace} {packet}"))?;
        assert!(code == 2 && said.contains(told), "{said}");
    }
    // A camera without a hardware address is whoever has its address.
    let (_, said) = scratch.camfw(&format!("{trace} --src 192.168.8.111 --dport 21"))?;
    assert!(!said.contains("assumed"), "{said}");
    Ok(())
}

/// What hosts of one wire send each other no rule sees: that none lets it pass says nothing.
#[test]
fn trace_says_what_is_on_one_wire() -> Done {
    let scratch = Scratch::new("one-wire")?;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cameras/config.toml");
    let trace = format!("trace --config {}", config.display());
    let (_, said) = scratch.camfw(&format!(
        "{trace} --src porch --dst 192.168.8.111 --dport 80"
    ))?;
    let told = "on one wire: 192.168.8.110 and 192.168.8.111 are in zone yard (eth1): the switch carries it, and no rule sees it; assumed: it is camera porch";
    assert!(said.starts_with(told) && said.contains("DROP by"), "{said}");
    for packet in [
        "--src 192.168.8.111 --dst 192.168.8.1 --dport 21",
        "--src 192.168.8.111 --dst 8.8.4.4 --dport 80",
        "--src 8.8.8.8 --dst 8.8.4.4 --from external --to external --dport 80",
    ] {
        let (_, said) = scratch.camfw(&format!("{trace} {packet}"))?;
        assert!(!said.contains("one wire"), "{packet}: {said}");
    }
    Ok(())
}

/// A camera's name stands for its address of the family that the packet has.
#[test]
fn trace_takes_a_cameras_name_for_its_ipv6_address() -> Done {
    let scratch = Scratch::new("assumed6")?;
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cameras-ipv6/config.toml");
    let trace = format!("trace --config {}", config.display());
    let passes = [
        "--src porch --dst fd00:8::1 --dport ftp",
        "--src fd00:8::110 --dst fd00:8::1 --dport ftp",
        "--src porch --dst 192.168.8.1 --dport ftp",
        "--from home --src fd00:5::10 --dst stairs --dport rtsp",
    ];
    for packet in passes {
        let (_, said) = scratch.camfw(&format!("{trace} {packet}"))?;
        // The porch's line is within limits, which the packet does not tell.
        let lets = [
            "DEPENDS by filter bound-yard",
            "ACCEPT by filter home_to_hall",
        ];
        assert!(lets.iter().any(|it| said.contains(it)), "{packet}: {said}");
        let is_assumed =
            said.starts_with("assumed: it is camera porch itself, --mac 00:11:22:33:44:55");
        assert_eq!(
            is_assumed,
            !packet.starts_with("--from"),
            "{packet}: {said}"
        );
    }
    let (_, said) = scratch.camfw(&format!("{trace} {} --mac 00:11:22:33:44:56", passes[0]))?;
    assert!(said.contains("DROP by raw spoofed-yard"), "{said}");
    let (_, matrix) = scratch.camfw(&format!("show matrix --config {}", config.display()))?;
    assert!(matrix.contains("hall (others)"), "{matrix}");
    Ok(())
}

/// Each value of a packet is read before any rule is looked at.
#[test]
fn values_of_a_packet_are_refused_by_their_flag() -> Done {
    let scratch = Scratch::new("packet")?;
    scratch.write("rules", "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")?;
    for (flag, value, told) in [
        ("icmp-type", "x", "is no ICMP type; write it as 8 or 3/1"),
        ("flags", "SIN", "is no list of TCP flags"),
        ("state", "OLD", "is no state; use NEW"),
        ("mac", "1:2", "is no hardware address"),
        ("mark", "-1", "is no number up to 4294967295"),
        ("ttl", "256", "is no number up to 255"),
        ("sport", "65536", "is no number up to 65535"),
        ("ctdir", "BACK", "is no direction; use ORIGINAL or REPLY"),
        ("ctorigsrc", "x", "is no address"),
    ] {
        let ends = "--from eth1 --to eth0 --src 192.168.8.9 --dst 10.0.0.1";
        let given = format!("--{flag} {value}");
        let (code, said) = scratch.camfw(&format!("trace --rules rules {ends} {given}"))?;
        assert_eq!((code, said.lines().count()), (2, 1), "{said}");
        assert!(said.contains(&given) && said.contains(told), "{said}");
        scratch.write("packets", &format!("{ends}\n\ntrace {ends} {given}\n"))?;
        let (code, said) = scratch.camfw("trace --rules rules --packets packets")?;
        assert_eq!((code, said.lines().count()), (2, 1), "{said}");
        assert!(
            said.contains("packets:3: ") && said.contains(told),
            "{said}"
        );
    }
    let (code, said) =
        scratch.camfw("trace --rules rules --src 10.0.0.1 --dst fd00::1 --from a")?;
    assert!(
        code == 2 && said.contains("the packet is of IPv6"),
        "{said}"
    );
    Ok(())
}

#[test]
fn there_is_a_meaning_for_each_exit_code() -> Done {
    let (_, help) = Scratch::new("codes")?.camfw("help")?;
    for code in ExitCode::ALL {
        let first = code.meaning().lines().next().unwrap_or_default();
        assert!(
            help.contains(&format!("  {}  {first}", code as u8)),
            "{code:?}"
        );
    }
    Ok(())
}
