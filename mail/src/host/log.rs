//! The system log, with the facility mail (syslog(3)); stderr where there is none.

use std::io::Write;
use std::os::unix::net::UnixDatagram;

/// LOG_MAIL | LOG_INFO, LOG_MAIL | LOG_ERR.
const INFO: u8 = 2 << 3 | 6;
const ERROR: u8 = 2 << 3 | 3;

/// Says what was done.
pub fn info(line: &str) {
    write(INFO, line);
}

/// Says what could not be done.
pub fn error(line: &str) {
    write(ERROR, line);
}

fn write(priority: u8, line: &str) {
    let record = format!("<{priority}>camfw-mail: {line}");
    let sent = UnixDatagram::unbound().and_then(|socket| {
        // A log that nobody reads must not hold the mail up.
        socket.set_nonblocking(true)?;
        socket.send_to(record.as_bytes(), "/dev/log")
    });
    if sent.is_err() {
        let _ = writeln!(std::io::stderr(), "camfw-mail: {line}");
    }
}
