//! Problems of the network that no change can fix, with advice for the user.

use ipnet::IpNet;
use thiserror::Error;

use crate::name::InterfaceName;

/// A problem that no change can fix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// A link does not exist.
    #[error(
        "interface {name} of zone {zone} does not exist{how}; look for it with `ip link`, check its driver and the file; if it may be absent, set optional = true on the zone"
    )]
    NoSuchLink {
        /// Its name.
        name: InterfaceName,
        /// The zone that needs it.
        zone: String,
        /// How it was looked for.
        how: String,
    },
    /// Another link already has the name.
    #[error(
        "interface {from} cannot be renamed to {to}, which is another interface's name; choose another name in the file"
    )]
    NameTaken {
        /// The link to be renamed.
        from: String,
        /// The name that is in use.
        to: InterfaceName,
    },
    /// The link exists but is of another kind.
    #[error(
        "interface {name} exists and is not {expected}; remove it or choose another name in the file"
    )]
    OtherKind {
        /// Its name.
        name: InterfaceName,
        /// What kind it should be.
        expected: String,
    },
    /// The link of this name is not the device that the file describes.
    #[error(
        "interface {name} of zone {zone} is another device{how}; correct the file, or give that device another name"
    )]
    AnotherDevice {
        /// The name.
        name: InterfaceName,
        /// The zone that needs it.
        zone: String,
        /// How the zone's device was looked for.
        how: String,
    },
    /// Another link has the address.
    #[error("address {address} of zone {zone} is already on interface {other}; remove it there")]
    AddressElsewhere {
        /// The address.
        address: IpNet,
        /// The zone that needs it.
        zone: String,
        /// The link that has it.
        other: String,
    },
}

impl NetworkError {
    /// Whether the problem is a missing link, which may still appear.
    pub fn is_missing_link(&self) -> bool {
        matches!(self, NetworkError::NoSuchLink { .. })
    }
}
