"""Owns the `newc` cpio archives that the kernel unpacks as its initramfs.

Everything in an archive belongs to root, and nothing in it depends on when or
where it was made. The kernel takes several archives one after another, the
later ones over the earlier (Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Entry:
    """A file, folder or symbolic link. `mode` is st_mode; the content of a link
    is where it leads."""

    mode: int
    content: bytes = b""


def file(content: bytes | str, permissions: int = 0o644) -> Entry:
    """A regular file."""
    data = content.encode() if isinstance(content, str) else content
    return Entry(stat.S_IFREG | permissions, data)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def folder(permissions: int = 0o755) -> Entry:
    """A folder, itself empty."""
    return Entry(stat.S_IFDIR | permissions)


def archive(entries: Mapping[str, Entry]) -> bytes:
    """An archive of the entries by their path, in the order given: a folder
    comes before what is in it."""
    parts = [_record(number, path.strip("/"), entry) for number, (path, entry) in enumerate(entries.items(), 1)]
    return b"".join((*parts, _record(0, "TRAILER!!!", Entry(0))))


def tree(root: Path) -> dict[str, Entry]:
    """The entries of everything below a folder."""
    return dict(_walk(root, PurePosixPath()))


def _walk(root: Path, below: PurePosixPath) -> Iterator[tuple[str, Entry]]:
    for item in sorted(os.scandir(root / below), key=lambda item: item.name):
        path = below / item.name
        mode = item.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            yield str(path), Entry(mode, os.readlink(item.path).encode())
        elif stat.S_ISDIR(mode):
            yield str(path), Entry(mode)
            yield from _walk(root, path)
        else:
            yield str(path), Entry(mode, Path(item.path).read_bytes())


def _record(number: int, path: str, entry: Entry) -> bytes:
    name = path.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device and special device
    # numbers, the name's length, checksum
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


if __name__ == "__main__":
    source, target = sys.argv[1:]
    Path(target).write_bytes(archive(tree(Path(source))))
