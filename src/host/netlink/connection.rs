//! The connection to rtnetlink: sends requests and reads the answers.
//!
//! Owns the socket and the time limit. rtnetlink's own `Handle` can
//! write and read every message and each kind of link that there is, whatever is asked
//! over it, and needs a runtime: an eighth of the binary.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netlink_packet_core::{Emitable, Parseable};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rtnetlink::MulticastGroup;

use crate::host::netlink_message::{HEADER, NetlinkAnswer, consistent, write_header};

/// The kernel puts at most 32 KiB into one part of a dump (netlink_recvmsg).
const RECEIVED: usize = 64 * 1024;

pub const ADD: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
pub const REPLACE: i32 = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
/// Changes or removes what there is.
pub const CHANGE: i32 = 0;

/// A connection whose requests all have to be answered by one point in time.
pub struct NetlinkConnection {
    socket: Socket,
    sequence: u32,
    end: Instant,
}

impl NetlinkConnection {
    /// Opens a connection that may be used for so long.
    pub fn open(limit: Duration) -> io::Result<NetlinkConnection> {
        Ok(NetlinkConnection {
            // The kernel binds it with the first request (netlink_sendmsg).
            socket: Socket::new(NETLINK_ROUTE)?,
            sequence: 0,
            end: Instant::now() + limit,
        })
    }

    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Dumps all objects of one kind. Leaves out what cannot be read.
    ///
    /// # Errors
    /// Returns the kernel's error, or an error if it does not answer in time, or never twice the same.
    pub fn dump<T: Parseable<[u8]>>(
        &mut self,
        kind: u16,
        request: &dyn Emitable,
    ) -> io::Result<Vec<T>> {
        consistent(|| {
            let mut objects = Vec::new();
            let flags = libc::NLM_F_DUMP;
            let is_consistent = self.exchange(
                kind,
                flags,
                request,
                &mut |payload| match T::parse(payload) {
                    Ok(object) => objects.push(object),
                    Err(error) => log::error!("netlink: cannot read a message: {error}"),
                },
            )?;
            Ok((objects, is_consistent))
        })
    }

    /// Requests a change: [`ADD`], [`REPLACE`] or [`CHANGE`].
    ///
    /// # Errors
    /// Returns the kernel's error, or an error if it does not answer in time.
    pub fn change(&mut self, kind: u16, flags: i32, request: &dyn Emitable) -> io::Result<()> {
        let flags = flags | libc::NLM_F_ACK;
        self.exchange(kind, flags, request, &mut |_| {}).map(drop)
    }

    /// Returns whether the answer was consistent.
    fn exchange(
        &mut self,
        kind: u16,
        flags: i32,
        request: &dyn Emitable,
        each: &mut dyn FnMut(&[u8]),
    ) -> io::Result<bool> {
        self.sequence += 1;
        let mut bytes = vec![0; HEADER + request.buffer_len()];
        request.emit(&mut bytes[HEADER..]);
        write_header(&mut bytes, kind, flags, self.sequence);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;

        let mut answer = NetlinkAnswer::to(self.sequence);
        let mut received = Vec::with_capacity(RECEIVED);
        loop {
            if !is_ready(&self.socket, self.end)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            received.clear();
            self.socket.recv_from(&mut received, 0)?;
            if answer.take(&received, each)? {
                return Ok(answer.is_consistent);
            }
        }
    }
}

/// Waits until there is something to receive. Returns false if the time is up.
fn is_ready(socket: &Socket, end: Instant) -> io::Result<bool> {
    loop {
        // Rounded up: with 0 it would not wait, and come here again.
        let left = end.saturating_duration_since(Instant::now());
        let left = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(left)) {
            Ok(0) if Instant::now() < end => {}
            Err(nix::errno::Errno::EINTR) => {}
            ready => return Ok(ready? != 0 && Instant::now() < end),
        }
    }
}

/// The kernel's notifications of changes.
pub struct Notifications {
    socket: Socket,
}

impl Notifications {
    /// Subscribes to groups of notifications, which are of the first 32.
    pub fn open(groups: &[MulticastGroup]) -> io::Result<Notifications> {
        let mask = groups
            .iter()
            .fold(0, |mask, group| mask | 1 << (*group as u32 - 1));
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, mask))?;
        Ok(Notifications { socket })
    }

    /// Waits for a notification, and takes all that there are. Returns false if the time
    /// is up, even if there is one: a flapping link may always have one.
    pub fn wait(&self, end: Instant) -> io::Result<bool> {
        if !is_ready(&self.socket, end)? {
            return Ok(false);
        }
        let mut received = Vec::with_capacity(RECEIVED);
        // Until there is none. ENOBUFS, that there were too many, is one, too.
        while self
            .socket
            .recv_from(&mut received, libc::MSG_DONTWAIT)
            .is_ok()
        {
            received.clear();
        }
        Ok(true)
    }
}
