//! Which kinds of link the kernel can make, found by asking for one that it
//! must refuse.

use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use nix::libc;
use rtnetlink::Handle;

use crate::plan::kernel_options::LinkKind;

/// Whether the kernel knows the kind; a module is loaded if there is one.
/// Nothing is made: rtnl_newlink (net/core/rtnetlink.c) looks for the kind
/// first, without which it answers EOPNOTSUPP, and then lets it refuse an
/// address of three bytes, and a VLAN without its id.
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
