//! regex-lite, by the authors of regex and with its interface, under its name.
//!
//! The iptables crate splits a line of rules and reads a version with regex,
//! whose Unicode tables and engines are a fifth of the whole binary.

pub use regex_lite::*;
