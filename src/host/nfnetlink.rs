//! nfnetlink, the netlink family of netfilter: sends requests and reads the answers.
//!
//! Owns the header that all nfnetlink messages share; the payload is up to the caller.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netlink_packet_core::NlasIterator;
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::netlink_message::{HEADER, NetlinkAnswer, NetlinkMessages, consistent, write_header};
use super::time_limit;

/// The time limit for each answer, in milliseconds.
const LIMIT: u16 = 10_000;

/// The time limit for all answers to one request, including the caller's work on each.
const LIMIT_FOR_ALL: Duration = Duration::from_secs(300);

/// The size of nfgenmsg (linux/netfilter/nfnetlink.h).
const FAMILY: usize = 4;

/// A request: message `kind` of `subsystem` (NFNL_SUBSYS_*), for one protocol family
/// (NFPROTO_*) or, with 0, for all.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// NFNL_SUBSYS_*
    pub subsystem: u8,
    /// The message type within the subsystem.
    pub kind: u8,
    /// NFPROTO_*
    pub family: u8,
    /// What it is about, where the subsystem counts: a group of the packet log.
    pub resource: u16,
    /// The attributes in wire format.
    pub attributes: &'a [u8],
}

/// One message of an answer.
#[derive(Debug)]
pub struct Message {
    /// NFPROTO_*
    pub family: u8,
    attributes: Vec<u8>,
}

impl Message {
    /// The value of an attribute.
    pub fn attribute(&self, kind: u16) -> Option<&[u8]> {
        attribute(&self.attributes, kind)
    }

    /// An attribute in wire format, with its header and padding.
    pub fn raw(&self, kind: u16) -> &[u8] {
        let found = NlasIterator::new(self.attributes.as_slice())
            .filter_map(Result::ok)
            .find(|attribute| attribute.kind() == kind);
        found.map_or(&[], |attribute| attribute.into_inner())
    }
}

/// The value of an attribute in a list of attributes.
pub fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut found = NlasIterator::new(attributes)
        .filter_map(Result::ok)
        .filter(|attribute| attribute.kind() == kind);
    found.next().map(|attribute| {
        let value = attribute.into_inner();
        // A header of four bytes; the length in it excludes the padding.
        let length = usize::from(u16::from_ne_bytes([value[0], value[1]]));
        &value[4..length.clamp(4, value.len())]
    })
}

/// An nfnetlink socket.
pub struct Netfilter {
    socket: Arc<Socket>,
    sequence: u32,
}

impl AsFd for Netfilter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Netfilter {
    /// Opens a socket.
    ///
    /// # Errors
    /// Returns an error if the kernel has no nfnetlink.
    pub fn open() -> io::Result<Netfilter> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        Ok(Netfilter {
            socket: Arc::new(socket),
            sequence: 0,
        })
    }

    /// Has the kernel keep up to so many bytes that were not received yet.
    ///
    /// # Errors
    /// Returns the kernel's error.
    pub fn keep(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_rx_buf_sz(bytes)
    }

    /// Dumps all objects of one kind.
    ///
    /// # Errors
    /// Returns the kernel's error, or an error if it does not answer.
    pub fn dump(&mut self, request: Request<'_>) -> io::Result<Vec<Message>> {
        consistent(|| {
            let mut messages = Vec::new();
            let is_consistent = self.visit(request, &mut |message| messages.push(message))?;
            Ok((messages, is_consistent))
        })
    }

    /// Calls a function for each object of one kind. Returns whether the dump was
    /// consistent, with no change while it was read.
    ///
    /// # Errors
    /// Returns the kernel's error, or an error if it does not answer.
    pub fn visit(
        &mut self,
        request: Request<'_>,
        each: &mut dyn FnMut(Message),
    ) -> io::Result<bool> {
        self.exchange(request, libc::NLM_F_DUMP, each)
    }

    /// Requests a change.
    ///
    /// # Errors
    /// Returns the kernel's error, or an error if it does not answer.
    pub fn change(&mut self, request: Request<'_>) -> io::Result<()> {
        self.exchange(request, libc::NLM_F_ACK, &mut |_| {})
            .map(drop)
    }

    /// Receives messages of one type that the kernel sends unasked. Waits until there are
    /// some.
    ///
    /// # Errors
    /// Returns ENOBUFS if the kernel had more than it could keep.
    pub fn unasked(&self, kind: u16) -> io::Result<Vec<Message>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        let mut messages = Vec::new();
        for message in NetlinkMessages(&bytes) {
            let message = message?;
            if message.message_type() == kind {
                messages.extend(parse(message.payload()));
            }
        }
        Ok(messages)
    }

    /// Runs one system call with a time limit: the kernel carries out a request before
    /// the send call returns, and continues a dump in the receive call, under an
    /// nfnetlink lock (nfnetlink_rcv_msg, netlink_dump).
    fn in_time<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Socket) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let socket = Arc::clone(&self.socket);
        time_limit::run(Duration::from_millis(LIMIT.into()), move || call(&socket))?
    }

    /// Returns whether the answer was consistent.
    fn exchange(
        &mut self,
        request: Request<'_>,
        flags: i32,
        each: &mut dyn FnMut(Message),
    ) -> io::Result<bool> {
        self.sequence += 1;
        let mut bytes = vec![0; HEADER];
        bytes.extend([request.family, 0]);
        bytes.extend(request.resource.to_be_bytes());
        bytes.extend(request.attributes);
        let kind = u16::from(request.subsystem) << 8 | u16::from(request.kind);
        write_header(&mut bytes, kind, flags, self.sequence);
        self.in_time(move |socket| socket.send_to(&bytes, &SocketAddr::new(0, 0), 0))?;

        let end = Instant::now() + LIMIT_FOR_ALL;
        let mut answer = NetlinkAnswer::to(self.sequence);
        loop {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(LIMIT))? == 0 || Instant::now() > end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let (bytes, _) = self.in_time(Socket::recv_from_full)?;
            let mut each = |payload: &[u8]| parse(payload).into_iter().for_each(&mut *each);
            if answer.take(&bytes, &mut each)? {
                return Ok(answer.is_consistent);
            }
        }
    }
}

fn parse(payload: &[u8]) -> Option<Message> {
    Some(Message {
        family: *payload.first()?,
        attributes: payload.get(FAMILY..)?.to_vec(),
    })
}
