//! Bits of the hardware address: what is known of them.

use crate::netfilter::MacBits;
use crate::prove::bounds::Bounds;
use crate::prove::packet::{Field, Interfaces, NO_INTERFACE, Packet};
use crate::prove::space::Space;

/// Whether they are in the packet's address. What lies in the place of the hardware address of
/// a packet that has none is unknown.
pub(super) fn hold(bits: MacBits, packet: &Packet) -> Option<bool> {
    let address = packet.get(Field::Mac).filter(|address| *address != 0)?;
    let comes_in = packet.get(Field::In)? > Interfaces::LOOPBACK;
    comes_in.then(|| bits.are_in(address))
}

/// The packets whose hardware address has these bits: surely, if rules name it.
pub(super) fn set(space: &mut Space, bits: MacBits) -> Bounds {
    let (having, lacking) = space.named_hardware(|address| bits.are_in(address));
    let own = space.range(Field::In, NO_INTERFACE, Interfaces::LOOPBACK);
    Bounds {
        may: space.diagrams.or(!lacking, own),
        must: space.diagrams.minus(having, own),
    }
}
