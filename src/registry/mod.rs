//! What IANA and the RFCs say: addresses, ICMPv6 types, ports.
//!
//! Owns facts and no decision. The compiler and the proof both read them, so
//! that neither takes them from the other; a wrong row would be proven right,
//! so each table is held against the published one, typed out in its tests.
//! Knows nothing of the rest but the types of [`crate::field`] and the two families.

pub(crate) mod group;
pub(crate) mod icmp_error;
pub(crate) mod icmpv6;
pub(crate) mod multicast;
pub(crate) mod port;
pub(crate) mod service;
pub(crate) mod special_purpose;
