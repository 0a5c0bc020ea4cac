//! camfw-import makes lines of a camfw configuration of what others write down about devices. It runs
//! at the desk: what it prints is read by a person, and by `camfw check`.
//!
//! Only [`host`] touches the world.

pub mod host;
pub mod mud;
