//! camfw-mail sends what cameras upload by FTP as mail.
//!
//! It has a user of its own and no right of the firewall's. What waits is in the upload
//! folders themselves: a file is removed only after the mail server took it, so that
//! nothing has to be remembered over a kill, a power cut or a full disk.
//!
//! ```text
//! upload folder --read--> whole? --schedule--> letter --msmtp--> the server took it --> remove or keep
//!                         media                message
//! ```
//!
//! Only [`host`] touches the world.

mod found;
pub mod host;
pub mod media;
pub mod message;
pub mod name;
pub mod relay;
pub mod schedule;
pub mod settings;
pub mod told;
