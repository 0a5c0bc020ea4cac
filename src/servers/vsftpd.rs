//! vsftpd.conf(5): the ports for FTP data connections.

use std::fmt::Write;

use crate::policy::{Endpoint, Ipv6Mode, Mail, Policy, Service};
use crate::registry::port;

use super::NothingToServe;
use super::relay::RELAY_FOLDER;

/// The lines for vsftpd.conf.
///
/// # Errors
/// Returns an error if no allow line lets FTP reach the router, or if two lines give
/// different passive ranges: the server supports only one.
pub fn vsftpd(policy: &Policy) -> Result<String, NothingToServe> {
    let to_router = policy.allows.iter().filter(|allow| {
        let mut flows = allow.flows.iter();
        flows.any(|flow| flow.to == Endpoint::Router)
    });
    let is_ftp = |service: &&Service| service.passive.is_some() || service.helper;
    let lines: Vec<(String, &Service)> = to_router
        .flat_map(|allow| {
            let services = allow.services.iter().filter(is_ftp);
            services.map(|service| (allow.origin.to_string(), service))
        })
        .collect();
    let Some((origin, first)) = lines.first() else {
        return Err(NothingToServe(
            "no allow line lets FTP reach the router; add one with service ftp".into(),
        ));
    };
    let other = lines
        .iter()
        .find(|(_, other)| (other.passive, other.helper) != (first.passive, first.helper));
    if let Some((other, _)) = other {
        return Err(NothingToServe(format!(
            "the FTP of {origin} and of {other} has different data ports, and the server has one range; use the same service in both"
        )));
    }
    let mut text = format!("# for vsftpd.conf, as allowed by {origin}\n");
    if !is_over_ipv6(policy) {
        // Debian's file listens at an IPv6 socket, for which each IPv4 client is
        // ::ffff:ADDRESS, so that no file of a camera's address is found.
        text += "listen=YES\nlisten_ipv6=NO\n";
    }
    let control = first.tcp.first().map_or(port::FTP, |ports| ports.first());
    if control != port::FTP {
        text += &format!("listen_port={control}\n");
    }
    match first.passive {
        Some(range) => {
            text += &format!(
                "pasv_enable=YES\npasv_min_port={}\npasv_max_port={}\nport_enable=NO\n",
                range.first(),
                range.last()
            );
        }
        None => {
            text += "# conntrack's helper lets each data connection through, on any port\n";
            text += "pasv_enable=YES\nport_enable=YES\nconnect_from_port_20=YES\n";
        }
    }
    if let Ok(Some(mail)) = &policy.mail {
        uploads(&mut text, mail);
    }
    Ok(text)
}

/// Whether clients may come over IPv6. Where each camera has a folder by its IPv4 address,
/// nobody else gets in.
fn is_over_ipv6(policy: &Policy) -> bool {
    let by_address = matches!(&policy.mail, Ok(Some(mail)) if !mail.cameras.is_empty());
    policy.ipv6 == Ipv6Mode::Same && !by_address
}

/// What `camfw-mail` relies on: an upload that failed is gone, one under way is locked, and
/// each camera has a folder of its own, by a file of its address (hosts_options(5)), in which
/// it makes files and nothing else.
fn uploads(text: &mut String, mail: &Mail) {
    let folder = mail.one("folder");
    let _ = write!(
        text,
        "# for camfw-mail\nanonymous_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\nanon_root={folder}\n\
         anon_umask=027\nanon_world_readable_only=YES\ndelete_failed_uploads=YES\nlock_upload_files=YES\n\
         anon_mkdir_write_enable=NO\nanon_other_write_enable=NO\nmdtm_write=NO\n\
         max_per_ip=4\nmax_clients=200\n"
    );
    if !mail.cameras.is_empty() {
        let _ = write!(
            text,
            "tcp_wrappers=YES\n# two lines of /etc/hosts.allow; each file has anon_root: {folder}/CAMERA\n\
             # vsftpd: {RELAY_FOLDER}/addresses: setenv VSFTPD_LOAD_CONF {RELAY_FOLDER}/vsftpd/%a\n\
             # vsftpd: ALL: deny\n"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    const FILE: &str = include_str!("../../examples/six-cameras.toml");
    const FTP: &str =
        "[[allow]]\nfrom = \"camera\"\nto = \"router\"\nservice = \"ftp\"\n[ipv6]\nmode = ";
    const MAIL: &str =
        "[mail]\nto = \"o@example.org\"\nfrom = \"r@example.org\"\nserver = \"smtp.example.org\"\n";

    /// Debian's own file has listen=NO and listen_ipv6=YES; vsftpd takes the last of each.
    fn listens_for_ipv4_alone(mode: &str, more: &str) -> Result<bool, Box<dyn Error>> {
        let text = format!("{FILE}\n{FTP}\"{mode}\"\n{more}");
        let policy = crate::policy(&Source::new("c.toml", text), &Answers::new())?;
        Ok(vsftpd(&policy)?.contains("\nlisten=YES\nlisten_ipv6=NO\n"))
    }

    #[test]
    fn a_client_over_ipv4_has_an_ipv4_address() -> Result<(), Box<dyn Error>> {
        assert!(listens_for_ipv4_alone("drop", "")?);
        assert!(listens_for_ipv4_alone("drop", MAIL)?);
        assert!(listens_for_ipv4_alone("same", MAIL)?);
        assert!(!listens_for_ipv4_alone("same", "")?);
        Ok(())
    }
}
