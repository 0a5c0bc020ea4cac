//! Facts published by IANA and in RFCs: addresses, ICMP types, protocols, ports.
//!
//! Owns facts and makes no decisions. Both the compiler and the proof read them, so that
//! neither takes them from the other. The proof cannot find a wrong row, so the tests
//! compare each table with the published one, typed out again. Depends only on the types of
//! [`crate::field`] and on the two address families.

pub(crate) mod group;
pub(crate) mod icmp_error;
pub(crate) mod icmpv6;
pub(crate) mod multicast;
pub(crate) mod port;
pub(crate) mod protocol;
pub(crate) mod service;
pub(crate) mod special_purpose;
