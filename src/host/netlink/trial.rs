//! Detects which kinds of link the kernel supports, by requests that it must refuse.

use netlink_packet_core::DefaultNla;
use nix::libc;

use super::connection::{ADD, NetlinkConnection};
use super::link::{self, LinkRequest};
use crate::plan::kernel_options::LinkKind;

/// Whether the kernel supports the kind; loads its module if there is one. Creates
/// nothing: rtnl_newlink (net/core/rtnetlink.c) first looks the kind up and returns
/// EOPNOTSUPP if it is unknown; a known kind then refuses a three-byte address, or a
/// VLAN without its id.
pub fn knows(connection: &mut NetlinkConnection, kind: LinkKind) -> bool {
    let kind = match kind {
        LinkKind::Vlan => "vlan",
        LinkKind::Bridge => "bridge",
    };
    let message =
        LinkRequest::of_kind(kind, None).with(DefaultNla::new(link::ADDRESS, vec![2, 0, 0]));
    match connection.change(libc::RTM_NEWLINK, ADD, &message) {
        Err(error) => error.raw_os_error() != Some(libc::EOPNOTSUPP),
        Ok(()) => true,
    }
}
