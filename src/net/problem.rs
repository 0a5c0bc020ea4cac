//! What no change of the network can make so, with what to do.

use ipnet::IpNet;
use thiserror::Error;

use crate::name::InterfaceName;

/// What no change can make so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// A link is not there.
    #[error(
        "interface {name} of zone {zone} does not exist{how}; look for it with `ip link`, check its driver and the file; if it may be absent, set optional = true on the zone"
    )]
    NoSuchLink {
        /// Its name.
        name: InterfaceName,
        /// The zone it is for.
        zone: String,
        /// How it was looked for.
        how: String,
    },
    /// The name is another link's.
    #[error(
        "interface {from} cannot be renamed to {to}, which is another interface's name; choose another name in the file"
    )]
    NameTaken {
        /// The link to be renamed.
        from: String,
        /// The name that is taken.
        to: InterfaceName,
    },
    /// The link is there and is something else.
    #[error(
        "interface {name} exists and is not {expected}; remove it or choose another name in the file"
    )]
    OtherKind {
        /// Its name.
        name: InterfaceName,
        /// What it ought to be.
        expected: String,
    },
    /// The link of this name is not the device that the file means.
    #[error(
        "interface {name} of zone {zone} is another device{how}; correct the file, or give that device another name"
    )]
    AnotherDevice {
        /// The name.
        name: InterfaceName,
        /// The zone it is for.
        zone: String,
        /// How the zone's was looked for.
        how: String,
    },
    /// Another link has the address.
    #[error("address {address} of zone {zone} is already on interface {other}; remove it there")]
    AddressElsewhere {
        /// The address.
        address: IpNet,
        /// The zone it is for.
        zone: String,
        /// Who has it.
        other: String,
    },
}

impl NetworkError {
    /// Whether a link is not there, which may come yet.
    pub fn is_missing_link(&self) -> bool {
        matches!(self, NetworkError::NoSuchLink { .. })
    }
}
