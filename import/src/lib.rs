//! camfw-import makes lines of a camfw configuration of what others write down: a maker about a device, or
//! somebody as a script. It runs at the desk: what it prints is read by a person, and by `camfw check`.
//!
//! Only [`host`] touches the world.

pub mod host;
mod host_name;
pub mod mud;
pub mod script;
