//! A post that one process holds for as long as it lives, and whether it is held.
//!
//! An abstract socket: it needs no file, and the kernel lets go of it however
//! the process ends (unix(7)). It belongs to the network namespace, as the
//! tables do.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A post that this process holds.
#[derive(Debug)]
pub struct Post {
    _socket: UnixDatagram,
}

impl Post {
    /// Takes the post of that name; None where another process holds it.
    ///
    /// # Errors
    /// No socket can be made.
    pub fn take(name: &str) -> io::Result<Option<Post>> {
        let address = SocketAddr::from_abstract_name(format!("camfw/{name}"))?;
        match UnixDatagram::bind_addr(&address) {
            Ok(socket) => Ok(Some(Post { _socket: socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a process holds the post of that name. Where that cannot be told it
    /// is taken to be held.
    pub fn is_held(name: &str) -> bool {
        !matches!(Post::take(name), Ok(Some(_)))
    }
}
