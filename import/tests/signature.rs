//! A signature made by the openssl program, held by the binary: good, of another file, by somebody else.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs, process};

type Done = Result<(), Box<dyn Error>>;

fn openssl(folder: &Path, arguments: &[&str]) -> Done {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()?;
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(())
}

fn import(folder: &Path, file: &str, authority: &str) -> Result<Output, Box<dyn Error>> {
    let arguments = [
        "mud",
        file,
        "--camera",
        "porch",
        "--local",
        "home",
        "--signature",
        "mud.p7s",
        "--ca",
        authority,
    ];
    Ok(Command::new(env!("CARGO_BIN_EXE_camfw-import"))
        .current_dir(folder)
        .args(arguments)
        .output()?)
}

#[test]
fn only_what_was_signed_is_imported() -> Done {
    let folder = env::temp_dir().join(format!("camfw-import-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mud/camera/mud.json");
    fs::copy(made, folder.join("mud.json"))?;
    for who in ["maker", "other"] {
        let (key, certificate, subject) = (
            format!("{who}.key"),
            format!("{who}.pem"),
            format!("/CN={who}"),
        );
        openssl(
            &folder,
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "30",
                "-keyout",
                &key,
                "-out",
                &certificate,
                "-subj",
                &subject,
            ],
        )?;
    }
    openssl(
        &folder,
        &[
            "cms",
            "-sign",
            "-binary",
            "-signer",
            "maker.pem",
            "-inkey",
            "maker.key",
            "-in",
            "mud.json",
            "-outform",
            "DER",
            "-out",
            "mud.p7s",
        ],
    )?;
    let text = fs::read_to_string(folder.join("mud.json"))?;
    fs::write(
        folder.join("changed.json"),
        text.replace("cloud.camera.example", "cloud.camera.invalid"),
    )?;

    let good = import(&folder, "mud.json", "maker.pem")?;
    assert_eq!(
        good.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    assert!(String::from_utf8_lossy(&good.stdout).contains("[[allow]]"));
    for (file, authority) in [("changed.json", "maker.pem"), ("mud.json", "other.pem")] {
        let refused = import(&folder, file, authority)?;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(
            (refused.status.code(), refused.stdout.len()),
            (Some(2), 0),
            "{said}"
        );
        assert!(
            said.starts_with(&format!(
                "camfw-import: {file}: the signature does not hold: "
            )),
            "{said}"
        );
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}
