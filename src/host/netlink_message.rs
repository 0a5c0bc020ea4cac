//! The messages of netlink, of each of its families: a request's header, and what is received.
//!
//! Owns struct nlmsghdr (linux/netlink.h), and when an answer is complete.

use std::io;

use netlink_packet_core::NetlinkBuffer;
use nix::libc;

/// The size of the header.
pub const HEADER: usize = 16;

/// How often a dump is asked for again that was inconsistent, because something changed meanwhile.
const ATTEMPTS: usize = 5;

/// Writes the header of a request that is all of `bytes`.
pub fn write_header(bytes: &mut [u8], kind: u16, flags: i32, sequence: u32) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut header = NetlinkBuffer::new(bytes);
    header.set_length(length);
    header.set_message_type(kind);
    header.set_flags((flags | libc::NLM_F_REQUEST) as u16);
    header.set_sequence_number(sequence);
}

/// The messages in what was received at once.
pub struct NetlinkMessages<'a>(pub &'a [u8]);

impl<'a> Iterator for NetlinkMessages<'a> {
    type Item = io::Result<NetlinkBuffer<&'a [u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.len() < HEADER {
            return None;
        }
        let message = NetlinkBuffer::new_checked(self.0).map_err(io::Error::other);
        // Messages are aligned to four bytes. What cannot be one is the last.
        let length = message.as_ref().map_or(self.0.len(), |message| {
            (message.length() as usize).next_multiple_of(4)
        });
        self.0 = self.0.get(length..).unwrap_or_default();
        Some(message)
    }
}

/// An answer to one request, which may come in several parts.
pub struct NetlinkAnswer {
    sequence: u32,
    /// Whether nothing changed while it was made (NLM_F_DUMP_INTR).
    pub is_consistent: bool,
}

impl NetlinkAnswer {
    /// Of the request with this number.
    pub fn to(sequence: u32) -> NetlinkAnswer {
        NetlinkAnswer {
            sequence,
            is_consistent: true,
        }
    }

    /// Takes what was received. Returns whether the answer is complete.
    ///
    /// # Errors
    /// Returns the kernel's error.
    pub fn take(&mut self, received: &[u8], each: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        for message in NetlinkMessages(received) {
            let message = message?;
            if message.sequence_number() != self.sequence {
                continue;
            }
            self.is_consistent &= i32::from(message.flags()) & libc::NLM_F_DUMP_INTR == 0;
            match i32::from(message.message_type()) {
                libc::NLMSG_DONE => return Ok(true),
                libc::NLMSG_ERROR => return code(message.payload()).map(|()| true),
                _ => each(message.payload()),
            }
        }
        Ok(false)
    }
}

/// The answer to a change begins with an error code, or 0.
fn code(payload: &[u8]) -> io::Result<()> {
    let code = payload.get(..4).and_then(|bytes| bytes.try_into().ok());
    match code.map_or(-libc::EBADMSG, i32::from_ne_bytes) {
        code if code < 0 => Err(io::Error::from_raw_os_error(-code)),
        _ => Ok(()),
    }
}

/// Asks for a dump until one is consistent. `ask` returns what it got, and whether that is.
///
/// # Errors
/// Returns the error of `ask`, or one if there is always a change.
pub fn consistent<T>(mut ask: impl FnMut() -> io::Result<(T, bool)>) -> io::Result<T> {
    for _ in 0..ATTEMPTS {
        if let (got, true) = ask()? {
            return Ok(got);
        }
    }
    Err(io::Error::other("it changes faster than it can be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: u16 = libc::NLMSG_DONE as u16;
    const ERROR: u16 = libc::NLMSG_ERROR as u16;

    fn message(kind: u16, flags: i32, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend(payload);
        write_header(&mut bytes, kind, flags, sequence);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn taken(answer: &mut NetlinkAnswer, received: &[Vec<u8>]) -> (io::Result<bool>, Vec<Vec<u8>>) {
        let mut seen = Vec::new();
        let complete = answer.take(&received.concat(), &mut |payload| {
            seen.push(payload.to_vec())
        });
        (complete, seen)
    }

    #[test]
    fn an_answer_is_complete_with_its_last_message() -> io::Result<()> {
        let mut answer = NetlinkAnswer::to(7);
        let (complete, seen) = taken(
            &mut answer,
            &[
                message(20, 0, 7, b"abcde"),
                message(20, 0, 6, b"of another"),
                message(20, 0, 7, b"f"),
            ],
        );
        assert!(!complete?);
        assert_eq!(seen, [b"abcde".to_vec(), b"f".to_vec()]);
        let (complete, seen) = taken(
            &mut answer,
            &[message(DONE, 0, 7, &[0; 4]), message(20, 0, 7, b"late")],
        );
        assert!(complete?);
        assert!(seen.is_empty() && answer.is_consistent);
        Ok(())
    }

    #[test]
    fn an_error_is_the_kernels_and_0_is_none() {
        for (code, kind) in [
            (0, None),
            (-libc::EPERM, Some(io::ErrorKind::PermissionDenied)),
        ] {
            let (complete, _) = taken(
                &mut NetlinkAnswer::to(1),
                &[message(ERROR, 0, 1, &i32::to_ne_bytes(code))],
            );
            assert_eq!(complete.map_err(|error| error.kind()).err(), kind);
        }
        let (complete, _) = taken(&mut NetlinkAnswer::to(1), &[message(ERROR, 0, 1, &[1])]);
        assert!(complete.is_err(), "cut off");
    }

    #[test]
    fn a_dump_that_something_changed_during_is_asked_for_again() -> io::Result<()> {
        let mut answer = NetlinkAnswer::to(1);
        let (complete, _) = taken(
            &mut answer,
            &[
                message(20, libc::NLM_F_DUMP_INTR, 1, b"x"),
                message(DONE, 0, 1, &[0; 4]),
            ],
        );
        assert!(complete? && !answer.is_consistent);

        let mut asked = 0;
        let got = consistent(|| {
            asked += 1;
            Ok((asked, asked == 3))
        });
        assert_eq!(got?, 3);
        assert!(consistent(|| Ok(((), false))).is_err());
        Ok(())
    }

    #[test]
    fn what_is_no_message_is_an_error_and_the_end() {
        let mut cut = message(20, 0, 1, b"abcdefgh");
        cut.truncate(HEADER + 3);
        let (complete, seen) = taken(&mut NetlinkAnswer::to(1), &[cut]);
        assert!(complete.is_err() && seen.is_empty());
    }
}
