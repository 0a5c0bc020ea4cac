//! Detects which kinds of link the kernel supports, by requests that it must refuse.

use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use nix::libc;
use rtnetlink::Handle;

use crate::plan::kernel_options::LinkKind;

/// Whether the kernel supports the kind; loads its module if there is one. Creates
/// nothing: rtnl_newlink (net/core/rtnetlink.c) first looks the kind up and returns
/// EOPNOTSUPP if it is unknown; a known kind then refuses a three-byte address, or a
/// VLAN without its id.
pub async fn knows(handle: &Handle, kind: LinkKind) -> bool {
    let mut message = LinkMessage::default();
    let kind = match kind {
        LinkKind::Vlan => InfoKind::Vlan,
        LinkKind::Bridge => InfoKind::Bridge,
    };
    message.attributes.extend([
        LinkAttribute::Address(vec![2, 0, 0]),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]),
    ]);
    match handle.link().add(message).execute().await {
        Err(rtnetlink::Error::NetlinkError(error)) => error.raw_code() != -libc::EOPNOTSUPP,
        _ => true,
    }
}
