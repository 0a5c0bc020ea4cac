"""A mail server in a process of its own, on aiosmtpd: STARTTLS, a login, and each
message as a file in a folder before the client hears that it was taken.

    python3 smtp_server.py FOLDER CERTIFICATE KEY PORT

A message that has in its text `TAKE-NOTHING-OF-THIS` is refused for good, and one with
`TAKE-THIS-LATER` each time. Run by the
system's python3, whose package aiosmtpd is (see services.SmtpServer).
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
import threading
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = b"router@example.org", b"swordfish"


class Keeper:
    """Keeps each message."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        if b"TAKE-NOTHING-OF-THIS" in content:
            return "554 no"
        if b"TAKE-THIS-LATER" in content:
            return "451 not now"
        # A name that no other run of this server gives.
        path = os.path.join(self._folder, f"{time.time_ns()}-{os.getpid()}")
        with open(path + ".new", "wb") as kept:
            kept.write(f"X-Envelope: {envelope.mail_from} {' '.join(envelope.rcpt_tos)}\r\n".encode() + content)
        os.rename(path + ".new", path + ".eml")
        return "250 taken"


def login(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
    """One account; aiosmtpd has it only over TLS."""
    return AuthResult(success=(getattr(data, "login", b""), getattr(data, "password", b"")) == (USER, PASSWORD))


def main() -> None:
    folder, certificate, key, port = sys.argv[1:]
    # asyncio has a line for each end of a TLS connection, and nobody reads the pipe that it
    # would fill.
    logging.disable(logging.CRITICAL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    Controller(
        Keeper(folder), hostname="0.0.0.0", port=int(port), ready_timeout=300, tls_context=context,
        require_starttls=True, authenticator=login, auth_required=True, data_size_limit=100_000_000,
    ).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
