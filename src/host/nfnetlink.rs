//! nfnetlink, the netlink family of netfilter: sends requests and reads the answers.
//!
//! Owns the header that all nfnetlink messages share; the payload is up to the caller.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netlink_packet_core::{NetlinkBuffer, NlasIterator};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::time_limit;

/// The time limit for each answer, in milliseconds.
const LIMIT: u16 = 10_000;

/// The time limit for all answers to one request, including the caller's work on each.
const LIMIT_FOR_ALL: Duration = Duration::from_secs(300);

/// nlmsghdr and nfgenmsg (linux/netlink.h, linux/netfilter/nfnetlink.h).
const HEADER: usize = 16;
const FAMILY: usize = 4;

/// How often a dump is restarted that was inconsistent because the data changed.
const ATTEMPTS: usize = 5;

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
        for _ in 0..ATTEMPTS {
            let mut messages = Vec::new();
            if self.visit(request, &mut |message| messages.push(message))? {
                return Ok(messages);
            }
        }
        Err(io::Error::other("it changes faster than it can be read"))
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
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
        self.exchange(request, flags as u16, each)
    }

    /// Requests a change.
    ///
    /// # Errors
    /// Returns the kernel's error, or an error if it does not answer.
    pub fn change(&mut self, request: Request<'_>) -> io::Result<()> {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        self.exchange(request, flags as u16, &mut |_| {}).map(drop)
    }

    /// Receives messages of one type that the kernel sends unasked. Waits until there are
    /// some.
    ///
    /// # Errors
    /// Returns ENOBUFS if the kernel had more than it could keep.
    pub fn unasked(&self, kind: u16) -> io::Result<Vec<Message>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        let mut messages = Vec::new();
        let mut rest = bytes.as_slice();
        while rest.len() >= HEADER {
            let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
            if message.message_type() == kind {
                messages.extend(parse(message.payload()));
            }
            let length = message.length() as usize;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
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
        flags: u16,
        each: &mut dyn FnMut(Message),
    ) -> io::Result<bool> {
        self.sequence += 1;
        let length = HEADER + FAMILY + request.attributes.len();
        let mut bytes = vec![0; HEADER];
        let mut header = NetlinkBuffer::new(&mut bytes);
        header.set_length(u32::try_from(length).unwrap_or(u32::MAX));
        header.set_message_type(u16::from(request.subsystem) << 8 | u16::from(request.kind));
        header.set_flags(flags);
        header.set_sequence_number(self.sequence);
        bytes.extend([request.family, 0]);
        bytes.extend(request.resource.to_be_bytes());
        bytes.extend(request.attributes);
        self.in_time(move |socket| socket.send_to(&bytes, &SocketAddr::new(0, 0), 0))?;

        let end = Instant::now() + LIMIT_FOR_ALL;
        let mut whole = true;
        loop {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(LIMIT))? == 0 || Instant::now() > end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let (bytes, _) = self.in_time(Socket::recv_from_full)?;
            let mut rest = bytes.as_slice();
            while rest.len() >= HEADER {
                let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
                let length = message.length() as usize;
                if message.sequence_number() == self.sequence {
                    whole &= i32::from(message.flags()) & libc::NLM_F_DUMP_INTR == 0;
                    match i32::from(message.message_type()) {
                        libc::NLMSG_DONE => return Ok(whole),
                        libc::NLMSG_ERROR => {
                            return match code(message.payload()) {
                                0 => Ok(whole),
                                code => Err(io::Error::from_raw_os_error(-code)),
                            };
                        }
                        _ => parse(message.payload()).into_iter().for_each(&mut *each),
                    }
                }
                // Messages are aligned to four bytes.
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

fn code(payload: &[u8]) -> i32 {
    let code = payload.get(..4).and_then(|bytes| bytes.try_into().ok());
    code.map_or(-libc::EBADMSG, i32::from_ne_bytes)
}

fn parse(payload: &[u8]) -> Option<Message> {
    Some(Message {
        family: *payload.first()?,
        attributes: payload.get(FAMILY..)?.to_vec(),
    })
}
