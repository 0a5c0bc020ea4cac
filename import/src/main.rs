//! The binary: its command line, and what it exits with.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use camfw_import::host;
use camfw_import::mud::{self, NamesHere};
use camfw_import::script::{self, ZoneHint};

const HELP: &str = "\
camfw-import mud FILE --camera NAME [--external ZONE] [--local ZONE] [--signature FILE [--ca FILE]]
camfw-import script FILE [--zone INTERFACE=PART,PART...]...

mud: prints the lines of a camfw configuration that a manufacturer usage description (RFC 8520) comes to, as
a drop-in for /etc/camfw/camfw.d. Read it before you use it: it is what the maker of a device wants.

  --camera NAME     the camera that the file is about, as [[cameras]] names it
  --external ZONE   the zone of the internet; \"external\" unless said
  --local ZONE      the zone that the file's \"local networks\" are; without it nothing is opened to these
  --signature FILE  the file's signature (CMS, DER), which has to hold; by the openssl program
  --ca FILE         whose certificates are believed, in PEM; those of this machine unless said

script: prints the configuration that a shell script for iptables, or what iptables-save prints, comes to. It
lets through no more than the script. The script is read and never run.

  --zone INTERFACE=PART,PART...
                    what the file does not say of an interface: its role (external, camera, private), the
                    router's own address there (192.168.8.1/24, dhcp, given, none), the next router
                    (192.168.0.1), the metric of its default route (100), the zone's name

--version prints which version this is.

Exit code 0: all of it came over; 1: some was left out, each with a comment that says why; 2: refused.
";

/// Something was left out.
const LEFT_OUT: u8 = 1;
/// Nothing was printed.
const REFUSED: u8 = 2;

enum Asked {
    Version,
    Mud {
        file: PathBuf,
        names: NamesHere,
        signature: Option<PathBuf>,
        authority: Option<PathBuf>,
    },
    Script {
        file: PathBuf,
        zones: Vec<ZoneHint>,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            let mut said = format!("camfw-import: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                said = format!("{said}: {error}");
                cause = error.source();
            }
            eprintln!("{said}");
            ExitCode::from(REFUSED)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    match asked(host::arguments())? {
        None => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(Asked::Version) => {
            let version = concat!("camfw-import ", env!("CARGO_PKG_VERSION"));
            match option_env!("CAMFW_COMMIT") {
                None | Some("") => println!("{version}"),
                Some(commit) => println!("{version} ({commit})"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Asked::Mud {
            file,
            names,
            signature,
            authority,
        }) => {
            let place = file.display();
            if let Some(signature) = &signature {
                host::verify(&file, signature, authority.as_deref())
                    .map_err(|error| format!("{place}: {error}"))?;
            }
            let text = host::read(&file).map_err(|error| format!("{place}: {error}"))?;
            let imported = mud::import(&text, &names).map_err(|error| match error.source() {
                Some(cause) => format!("{place}: {error}: {cause}"),
                None => format!("{place}: {error}"),
            })?;
            print!("{}", imported.text);
            let entries = imported.carried + imported.left_out;
            Ok(ended(imported.left_out, &format!("of {entries} entries")))
        }
        Some(Asked::Script { file, zones }) => {
            let place = file.display();
            let text = host::read(&file).map_err(|error| format!("{place}: {error}"))?;
            let imported =
                script::import(&text, &zones).map_err(|error| format!("{place}: {error}"))?;
            print!("{}", imported.text);
            let mut lines: Vec<usize> = imported.left_out.iter().map(|left| left.line).collect();
            lines.dedup();
            Ok(ended(lines.len(), "lines, in whole or in part,"))
        }
    }
}

fn ended(left_out: usize, of: &str) -> ExitCode {
    if left_out == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("camfw-import: {left_out} {of} left out; a comment says why of each");
    ExitCode::from(LEFT_OUT)
}

fn asked(arguments: Vec<OsString>) -> Result<Option<Asked>, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut words, mut camera, mut external, mut local) = (Vec::new(), None, None, None);
    let (mut signature, mut authority, mut zones) = (None, None, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('V') | Long("version") => return Ok(Some(Asked::Version)),
            Long("camera") => camera = Some(name(&mut parser, "--camera")?),
            Long("external") => external = Some(name(&mut parser, "--external")?),
            Long("local") => local = Some(name(&mut parser, "--local")?),
            Long("signature") => signature = Some(PathBuf::from(parser.value()?)),
            Long("ca") => authority = Some(PathBuf::from(parser.value()?)),
            Long("zone") => {
                let text = parser.value()?.into_string().unwrap_or_default();
                zones.push(ZoneHint::parse(&text).map_err(|why| format!("--zone: {why}"))?);
            }
            Value(word) => words.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let [command, file] = &words[..] else {
        return Err(
            "it takes what is imported, and a file: camfw-import mud FILE --camera NAME, or camfw-import script FILE"
                .into(),
        );
    };
    let file = PathBuf::from(file);
    let of_mud = camera.is_some() || external.is_some() || local.is_some();
    if command == "script" {
        return match of_mud || signature.is_some() || authority.is_some() {
            true => Err("script takes --zone alone; the other flags are of mud".into()),
            false => Ok(Some(Asked::Script { file, zones })),
        };
    }
    if command != "mud" {
        return Err(
            format!("{command:?} is nothing that is imported here; write mud or script").into(),
        );
    }
    if !zones.is_empty() {
        return Err("--zone is of script; mud takes --external and --local".into());
    }
    if authority.is_some() && signature.is_none() {
        return Err("--ca is for the certificate of a signature; give --signature too".into());
    }
    Ok(Some(Asked::Mud {
        file,
        names: NamesHere {
            camera: camera.ok_or("which camera is it about? give --camera NAME")?,
            external: external.unwrap_or_else(|| "external".to_owned()),
            local,
        },
        signature,
        authority,
    }))
}

/// A zone's or camera's name, which is written into the lines.
fn name(parser: &mut lexopt::Parser, flag: &str) -> Result<String, Box<dyn Error>> {
    let name = parser.value()?.into_string().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
        return Err(
            format!("{flag} takes a name of a-z, 0-9 and -, as the configuration has it").into(),
        );
    }
    Ok(name)
}
