"""Owns a mail server for one test: TLS from the first byte, a login, and each message as it came."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from pathlib import Path

# How long a client may be silent.
SILENCE_SECONDS = 60.0


class SmtpServer:
    """Listens on the loopback, at a port that the system chose. A context manager."""

    def __init__(self, certificate: Path, user: str, password: str) -> None:
        """`certificate` has its key in it."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._login = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.mails: list[bytes] = []
        # What went wrong with a client, for whoever waits for a mail.
        self.faults: list[str] = []
        self._open = True
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> SmtpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._socket.close()

    def _serve(self) -> None:
        while self._open:
            try:
                plain, _ = self._socket.accept()
                plain.settimeout(SILENCE_SECONDS)
                with self._context.wrap_socket(plain, server_side=True) as client, client.makefile("rwb") as file:
                    self._talk(file)
            except OSError as error:
                if self._open:
                    self.faults.append(str(error))

    def _talk(self, file) -> None:
        """The commands that a client needs for one message (RFC 5321)."""

        def say(line: str) -> None:
            file.write(f"{line}\r\n".encode())
            file.flush()

        logged_in = False
        say("220 smtp.example.org")
        while line := file.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                say("250-smtp.example.org")
                say("250 AUTH PLAIN")
            elif verb == "AUTH":
                logged_in = line.split()[1:] == ["PLAIN", self._login]
                say("235 yes" if logged_in else "535 no")
            elif verb == "QUIT":
                say("221 bye")
                return
            elif not logged_in:
                say("530 log in first")
            elif verb == "DATA":
                say("354 go on")
                self.mails.append(_message(file))
                say("250 taken")
            else:
                say("250 yes")


def _message(file) -> bytes:
    """Until the line with a dot alone; a dot before a line is the transport's."""
    lines = []
    while (line := file.readline()) not in (b".\r\n", b""):
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)
