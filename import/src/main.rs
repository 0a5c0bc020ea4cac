//! The binary: its command line, and what it exits with.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use camfw_import::host;
use camfw_import::mud::{self, NamesHere};

const HELP: &str = "\
camfw-import mud FILE --camera NAME [--external ZONE] [--local ZONE] [--signature FILE [--ca FILE]]

Prints the lines of a camfw configuration that a manufacturer usage description (RFC 8520) comes to, as
a drop-in for /etc/camfw/camfw.d. Read it before you use it: it is what the maker of a device wants.

  --camera NAME     the camera that the file is about, as [[cameras]] names it
  --external ZONE   the zone of the internet; \"external\" unless said
  --local ZONE      the zone that the file's \"local networks\" are; without it nothing is opened to these
  --signature FILE  the file's signature (CMS, DER), which has to hold; by the openssl program
  --ca FILE         whose certificates are believed, in PEM; those of this machine unless said

Exit code 0: every entry came over; 1: some were left out, each with a comment that says why; 2: refused.
";

/// Something was left out.
const LEFT_OUT: u8 = 1;
/// Nothing was printed.
const REFUSED: u8 = 2;

struct Asked {
    file: PathBuf,
    names: NamesHere,
    signature: Option<PathBuf>,
    authority: Option<PathBuf>,
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
    let Some(asked) = asked(host::arguments())? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let place = asked.file.display();
    if let Some(signature) = &asked.signature {
        host::verify(&asked.file, signature, asked.authority.as_deref())
            .map_err(|error| format!("{place}: {error}"))?;
    }
    let text = host::read(&asked.file).map_err(|error| format!("{place}: {error}"))?;
    let imported = mud::import(&text, &asked.names).map_err(|error| match error.source() {
        Some(cause) => format!("{place}: {error}: {cause}"),
        None => format!("{place}: {error}"),
    })?;
    print!("{}", imported.text);
    if imported.left_out == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let entries = imported.carried + imported.left_out;
    eprintln!(
        "camfw-import: {} of {entries} entries left out; a comment says why of each",
        imported.left_out
    );
    Ok(ExitCode::from(LEFT_OUT))
}

fn asked(arguments: Vec<OsString>) -> Result<Option<Asked>, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut words, mut camera, mut external, mut local) = (Vec::new(), None, None, None);
    let (mut signature, mut authority) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("camera") => camera = Some(name(&mut parser, "--camera")?),
            Long("external") => external = Some(name(&mut parser, "--external")?),
            Long("local") => local = Some(name(&mut parser, "--local")?),
            Long("signature") => signature = Some(PathBuf::from(parser.value()?)),
            Long("ca") => authority = Some(PathBuf::from(parser.value()?)),
            Value(word) => words.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let [command, file] = &words[..] else {
        return Err(
            "it takes what is imported, and a file: camfw-import mud FILE --camera NAME".into(),
        );
    };
    if command != "mud" {
        return Err(format!("{command:?} is nothing that is imported here; write mud").into());
    }
    if authority.is_some() && signature.is_none() {
        return Err("--ca is for the certificate of a signature; give --signature too".into());
    }
    Ok(Some(Asked {
        file: PathBuf::from(file),
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
