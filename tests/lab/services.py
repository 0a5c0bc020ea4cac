"""Owns the servers behind the probes, each in a namespace, until they are stopped.

Each is ready for clients when its constructor returns, and is a context manager.
Independent of who may reach it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from lab.namespace import LabError, Namespace

READY_SECONDS = 60


class Server:
    """A server process; ready when its TCP port accepts connections on the loopback
    address."""

    def __init__(self, namespace: Namespace, command: Sequence[str | Path], port: int) -> None:
        self.namespace = namespace
        self.port = port
        self._process = namespace.start(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.pid = self._process.pid
        try:
            self._wait_until_ready(str(command[0]))
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self, name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self._process.poll() is not None:
                assert self._process.stdout is not None
                said = self._process.stdout.read().decode(errors="replace").strip()
                raise LabError(f"{name} ended at its start: {said}")
            with self.namespace.socket() as attempt:
                attempt.settimeout(1)
                if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if time.monotonic() > deadline:
                raise LabError(f"{name} does not answer on port {self.port}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the server and everything it started (it has a process group of its own)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class FtpServer(Server):
    """vsftpd; anyone may upload to and download from the folder `incoming`."""

    def __init__(
        self, namespace: Namespace, folder: Path, passive: range = range(50000, 50101), port: int = 21
    ) -> None:
        """Creates `folder`. `passive` is the range of data ports."""
        user = pwd.getpwnam("ftp")
        root = folder / "ftp"
        self.incoming = root / "incoming"
        self.incoming.mkdir(parents=True)
        os.chown(self.incoming, user.pw_uid, user.pw_gid)
        # The server's user must be able to reach the folder.
        for parent in (root, *root.parents):
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        empty = folder / "empty"
        empty.mkdir()
        config = folder / "vsftpd.conf"
        config.write_text("\n".join((
            "listen=YES", f"listen_port={port}", "background=NO",
            "anonymous_enable=YES", "no_anon_password=YES", "local_enable=NO",
            f"anon_root={root}", "write_enable=YES", "anon_upload_enable=YES",
            "anon_umask=022", "anon_world_readable_only=NO",
            "pasv_enable=YES", f"pasv_min_port={passive.start}", f"pasv_max_port={passive.stop - 1}",
            f"secure_chroot_dir={empty}", f"xferlog_file={folder / 'xfer.log'}",
            # Its own sandboxes, which tests do not need; one is a new network namespace
            # per connection.
            "isolate=NO", "isolate_network=NO", "seccomp_sandbox=NO", "",
        )))
        super().__init__(namespace, ["vsftpd", config], port)


class SmtpServer(Server):
    """A mail server with TLS and a login; each message that it takes is in `folder`.

    aiosmtpd: of the packaged servers the one whose whole state is a folder of the test's,
    where postfix, exim and OpenSMTPD have users and spools of the machine's.
    """

    def __init__(self, namespace: Namespace, folder: Path, port: int = 587) -> None:
        """A server that is started again in the same folder has the same certificate."""
        self.folder = folder / "mails"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        if not key.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "2", "-subj", "/CN=smtp.example.org", "-addext", "subjectAltName=DNS:smtp.example.org",
                 "-keyout", key, "-out", self.certificate], capture_output=True, check=True)
        script = Path(__file__).with_name("smtp_server.py")
        super().__init__(
            namespace, ["/usr/bin/python3", "-B", script, self.folder, self.certificate, key, str(port)], port)

    @property
    def mails(self) -> list[bytes]:
        """The messages so far, in the order in which they were taken."""
        return [path.read_bytes() for path in sorted(self.folder.glob("*.eml"))]


class SshServer(Server):
    """sshd, which accepts root with `key`, a temporary key for this server."""

    def __init__(self, namespace: Namespace, folder: Path, port: int = 22) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key = make_key(folder / "client")
        host_key = make_key(folder / "host")
        config = folder / "sshd_config"
        config.write_text("\n".join((
            f"Port {port}", f"HostKey {host_key}", "PidFile none",
            f"AuthorizedKeysFile {self.key}.pub", "StrictModes no", "UsePAM no",
            "PermitRootLogin prohibit-password", "PasswordAuthentication no",
            "UseDNS no", "",
        )))
        # sshd must be started by its full path, and needs its privilege separation
        # folder.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        super().__init__(namespace, ["/usr/sbin/sshd", "-D", "-e", "-f", config], port)


class HttpServer(Server):
    """A web server whose `/` is the text `page`, at all IPv4 addresses, or those of both families at `::`."""

    def __init__(self, namespace: Namespace, folder: Path, page: str, port: int = 80, bind: str = "0.0.0.0") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(page)
        super().__init__(
            namespace, [sys.executable, "-m", "http.server", "--bind", bind, "--directory", folder, str(port)], port
        )


class Listener:
    """Listens on many TCP and UDP ports, in a thread of this process.

    Returns to the sender what it receives over accepted TCP connections and in UDP
    datagrams. It stores the datagrams, so that the receiving side can tell that one
    arrived even if the reply does not.
    """

    def __init__(
        self,
        namespace: Namespace,
        tcp: Iterable[int] = (),
        udp: Iterable[int] = (),
        family: socket.AddressFamily = socket.AF_INET,
    ) -> None:
        self.accepted: Counter[int] = Counter()
        self._received: set[bytes] = set()
        self._streams: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._selector.register(self._wake, selectors.EVENT_READ, self._stop_reading)
        try:
            for port in tcp:
                self._listen(namespace, family, socket.SOCK_STREAM, port)
            for port in udp:
                self._listen(namespace, family, socket.SOCK_DGRAM, port)
        except OSError:
            self._close()
            raise
        self._running = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def received(self, token: bytes) -> bool:
        """Whether a datagram arrived that consists of this token."""
        with self._lock:
            return token in self._received

    def stop(self) -> None:
        """Closes every port and connection."""
        self._waker.send(b"x")
        self._thread.join()
        self._close()

    def _listen(self, namespace: Namespace, family: int, kind: int, port: int) -> None:
        listening = namespace.socket(family, kind)
        self._sockets.append(listening)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        try:
            listening.bind(("", port))
            if kind == socket.SOCK_STREAM:
                listening.listen(64)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: port {port} in {namespace.name}") from error
        serve = self._accept if kind == socket.SOCK_STREAM else self._answer
        self._selector.register(listening, selectors.EVENT_READ, serve)

    def _serve(self) -> None:
        while self._running:
            for key, _ in self._selector.select():
                # A client that disconnects must not disturb the others.
                with contextlib.suppress(BlockingIOError, ConnectionError, OSError):
                    key.data(key.fileobj)

    def _accept(self, listening: socket.socket) -> None:
        stream, _ = listening.accept()
        self.accepted[listening.getsockname()[1]] += 1
        stream.setblocking(False)
        self._streams.add(stream)
        self._selector.register(stream, selectors.EVENT_READ, self._echo)

    def _echo(self, stream: socket.socket) -> None:
        try:
            data = stream.recv(65536)
            if data:
                stream.send(data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._selector.unregister(stream)
        self._streams.remove(stream)
        stream.close()

    def _answer(self, listening: socket.socket) -> None:
        data, sender = listening.recvfrom(65536)
        with self._lock:
            self._received.add(data)
        listening.sendto(data, sender)

    def _stop_reading(self, _: socket.socket) -> None:
        self._running = False

    def _close(self) -> None:
        for open_socket in (*self._sockets, *self._streams, self._wake, self._waker):
            open_socket.close()
        self._selector.close()


def make_key(path: Path) -> Path:
    """An ed25519 key pair without a passphrase: `path` and `path`.pub."""
    done = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "throwaway", "-f", path],
        capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        raise LabError(f"ssh-keygen: {done.stderr.strip()}")
    return path
