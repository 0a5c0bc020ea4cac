//! The kernel's packet log: packets that rules pass on to this process (NFLOG).
//!
//! Owns the thread that waits for them, and that a signal that ends this process waits
//! until its last work is done. What a packet means is up to the caller.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::nfnetlink::{Message, Netfilter, Request};

/// NFNL_SUBSYS_ULOG (linux/netfilter/nfnetlink.h).
const SUBSYSTEM: u8 = 4;

// linux/netfilter/nfnetlink_log.h
const CONFIG: u8 = 1;
const CONFIG_COMMAND: u16 = 1;
const CONFIG_MODE: u16 = 2;
const COMMAND_BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const HARDWARE_ADDRESS: u16 = 8;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;

/// How much of each packet is wanted; a rule may give less.
const COPIED: u32 = 128;

/// How many bytes of packets the kernel keeps until they are received, at most as many as
/// net.core.rmem_max; twice that with what it adds (sk_setsockopt in net/core/sock.c).
const KEPT: u32 = 1 << 20;

/// How long to wait before a socket that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// How long nothing is received after packets were received and handled, in times of what
/// that took, so that a flood takes about the fifth part of a processor; but no longer than
/// a signal may wait. The kernel keeps what comes meanwhile, and says so where it is too much.
const PAUSES: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The signals that end a process.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// A packet as a rule passed it on.
#[derive(Debug)]
pub struct LoggedPacket {
    /// The rule's words.
    pub prefix: String,
    /// The sender's hardware address; empty if unknown.
    pub hardware: Vec<u8>,
    /// The start of the packet, from its IP header on.
    pub packet: Vec<u8>,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Packets can be received from now on.
    Opened,
    /// The packet log cannot be opened, or is lost; it is tried again.
    Failed(io::Error),
    /// Packets came.
    Packets(Vec<LoggedPacket>),
    /// Packets came faster than they were read, and some were lost.
    Lost,
    /// The time that the handler asked for is up.
    Due,
    /// This process ends once the handler returns.
    Ending,
}

/// Calls the handler, in a thread of its own, for each event of a group until the process
/// ends. The handler returns how long to wait for the next event; None is for ever.
///
/// Called before any other thread starts, so that none of them takes the signal.
///
/// # Errors
/// Returns an error if the thread cannot be started.
pub fn listen(
    group: u16,
    handler: impl FnMut(Event) -> Option<Duration> + Send + 'static,
) -> io::Result<()> {
    let ending = ending();
    ending.thread_block()?;
    SIGNALS_WAIT.store(true, Ordering::Relaxed);
    let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let work = move || Listener { signals, handler }.run(group);
    thread::Builder::new()
        .name("packet-log".into())
        .spawn(work)?;
    Ok(())
}

/// Whether this process has its signals wait for [`listen`]. One that ignores them for
/// reasons of its own goes on to, and so do its children.
static SIGNALS_WAIT: AtomicBool = AtomicBool::new(false);

/// Runs what starts a program, so that the program does not inherit that signals wait. One
/// that comes meanwhile ends this process without its last work, as a power cut does.
pub(super) fn with_signals<T>(start: impl FnOnce() -> T) -> T {
    if !SIGNALS_WAIT.load(Ordering::Relaxed) {
        return start();
    }
    let before = SigSet::thread_get_mask();
    let _ = ending().thread_unblock();
    let result = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    result
}

fn ending() -> SigSet {
    ENDING.into_iter().collect()
}

struct Listener<H> {
    signals: SignalFd,
    handler: H,
}

impl<H: FnMut(Event) -> Option<Duration>> Listener<H> {
    fn run(mut self, group: u16) {
        loop {
            let ended = open(group).and_then(|socket| self.receive(&socket));
            if let Err(error) = ended {
                (self.handler)(Event::Failed(error));
            }
            self.wait(None, Some(AGAIN));
            (self.handler)(Event::Due);
        }
    }

    /// Returns when the socket fails.
    fn receive(&mut self, socket: &Netfilter) -> io::Result<()> {
        let mut wait = (self.handler)(Event::Opened);
        loop {
            let came = self.wait(Some(socket), wait);
            let begin = Instant::now();
            let event = match came {
                false => Event::Due,
                true => match socket.unasked(u16::from(SUBSYSTEM) << 8) {
                    Ok(messages) => Event::Packets(messages.iter().map(packet).collect()),
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Event::Lost,
                    Err(error) => return Err(error),
                },
            };
            let came = matches!(event, Event::Packets(_));
            wait = (self.handler)(event);
            if came {
                let pause = begin.elapsed().saturating_mul(PAUSES);
                thread::sleep(pause.min(LONGEST_PAUSE));
            }
        }
    }

    /// Waits for a packet or for as long as is given. Returns whether a packet came. Ends
    /// the process on a signal.
    fn wait(&mut self, socket: Option<&Netfilter>, limit: Option<Duration>) -> bool {
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(socket.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        let came = poll(&mut fds, timeout).is_ok_and(|count| count > 0);
        let is_ready = |fd: Option<&PollFd<'_>>| fd.is_some_and(|fd| fd.any() == Some(true));
        let has_packet = came && is_ready(fds.get(1));
        if came
            && is_ready(fds.first())
            && let Ok(Some(signal)) = self.signals.read_signal()
        {
            (self.handler)(Event::Ending);
            let _ = ending().thread_unblock();
            let signal = i32::try_from(signal.ssi_signo).ok();
            let signal = signal.and_then(|signal| Signal::try_from(signal).ok());
            // No handler is installed, so this ends the process.
            let _ = raise(signal.unwrap_or(Signal::SIGTERM));
        }
        has_packet
    }
}

/// Becomes the receiver of a group's packets.
fn open(group: u16) -> io::Result<Netfilter> {
    let mut socket = Netfilter::open()?;
    socket.keep(KEPT)?;
    let mut config = |attributes: &[u8]| {
        socket.change(Request {
            subsystem: SUBSYSTEM,
            kind: CONFIG,
            family: 0,
            resource: group,
            attributes,
        })
    };
    config(&attribute(CONFIG_COMMAND, &[COMMAND_BIND]))?;
    let [a, b, c, d] = COPIED.to_be_bytes();
    config(&attribute(CONFIG_MODE, &[a, b, c, d, COPY_PACKET, 0]))?;
    Ok(socket)
}

/// An attribute in wire format.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn packet(message: &Message) -> LoggedPacket {
    let value = |kind| message.attribute(kind).unwrap_or_default();
    let prefix = value(PREFIX);
    let prefix = prefix.strip_suffix(&[0]).unwrap_or(prefix);
    // nfulnl_msg_packet_hw: two bytes of length, two of padding, eight of address.
    let hardware = match value(HARDWARE_ADDRESS) {
        [high, low, _, _, address @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            address.get(..length).unwrap_or_default().to_vec()
        }
        _ => Vec::new(),
    };
    LoggedPacket {
        prefix: String::from_utf8_lossy(prefix).into_owned(),
        hardware,
        packet: value(PAYLOAD).to_vec(),
    }
}
