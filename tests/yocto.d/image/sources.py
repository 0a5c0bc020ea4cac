"""Gets the image's sources from Debian's archive, into DL_DIR, under the names that OE-Core's recipes ask for.

    sources.py [--toolchain oe] TABLE OE_CORE META_OE FOLDER DL_DIR

TABLE is sources.toml. apt works below FOLDER, with lists of its own: this
machine's sources and packages stay as they are. Only the suites are named here;
hosts and keys are those of the machine's own apt sources. Each file is held
against Debian's signed index, and against the sum in OE-Core's recipe: where
that is the same, it is the recipe's own tarball. Writes DL_DIR/sources.json and
FOLDER/sources.conf, which tells bitbake the versions as they really are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LISTS_SECONDS = 12 * 3600
SUITES = ("bookworm", "trixie", "forky", "sid")
# Recipes that a tarball is for, where the table's name is not theirs.
RECIPES = {
    "linux": ("linux-libc-headers", "linux-standin"),
    # Its other recipes take what this one unpacked.
    "gcc": ("gcc-source-15.3.0",),
    "binutils": ("binutils-cross-aarch64",),
}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class SourceError(Exception):
    """A source that cannot be had."""


@dataclass(frozen=True)
class Release:
    """One version of a source package in one suite, and its upstream tarball."""

    package: str
    suite: str
    version: str
    tarball: str
    sha256: str

    @property
    def upstream(self) -> str:
        """The version without Debian's epoch and revision."""
        bare = self.version.partition(":")[2] or self.version
        # A native package has no revision.
        return bare.rpartition("-")[0] if ".orig." in self.tarball else bare


@dataclass(frozen=True)
class Source:
    """A tarball in DL_DIR, and how near it is to what the recipe names."""

    recipe: str
    wanted: str
    version: str
    file: str
    folder: str
    sha256: str
    origin: str
    kind: str
    why: str


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--toolchain", choices=("debian", "oe"), default="debian")
    for name in ("table", "oe_core", "meta_oe", "folder", "downloads"):
        arguments.add_argument(name, type=Path)
    asked = arguments.parse_args()
    table, oe_core, meta_oe, folder, downloads = asked.table, asked.oe_core, asked.meta_oe, asked.folder, asked.downloads
    layers = {"oe-core": oe_core, "meta-oe": meta_oe}
    folder.mkdir(parents=True, exist_ok=True)
    downloads.mkdir(parents=True, exist_ok=True)
    entries = {name: entry for name, entry in tomllib.loads(table.read_text()).items()
               if entry.get("toolchain", asked.toolchain) == asked.toolchain}
    try:
        archive = Archive(folder)
        found = [source(archive, name, entry, layers, downloads) for name, entry in entries.items()]
    except SourceError as error:
        print(f"sources: {error}", file=sys.stderr)
        return 1
    (downloads / "sources.json").write_text(json.dumps([asdict(one) for one in found], indent=1))
    (folder / "sources.conf").write_text(configuration(found))
    for one in found:
        print(f"{one.recipe:20} {one.wanted:8} {one.kind:8} {one.version:32} {one.why}")
    return 0


def source(archive: Archive, name: str, entry: dict[str, Any], layers: dict[str, Path], downloads: Path) -> Source:
    """Gets one tarball, of the best version that can be had."""
    wanted, known = entry["wanted"], entry.get("known", [])
    layer, _, path = entry["recipe"].partition("/")
    recipe = (layers[layer] / path).read_text()
    releases = archive.releases(entry["package"])
    order = [*known, *([wanted] if wanted not in known else [])]
    releases.sort(key=lambda one: (
        order.index(one.upstream) if one.upstream in order else len(order), distance(one.upstream, wanted)))
    for one in releases:
        had = archive.tarball(one)
        if had is None:
            print(f"sources: {one.package} {one.version} is in the index of {one.suite}, and not in its pool")
            continue
        version = upstream_version(one.upstream, wanted)
        if f'"{one.sha256}"' in recipe:
            kind, why = "same", "the recipe's own tarball"
        elif version == wanted:
            kind, why = "repacked", entry.get("why", "")
        else:
            kind, why = "near", entry.get("why", "")
        file = entry["file"].format(version=version)
        # The ending is the tarball's, which bitbake unpacks by.
        file = re.sub(r"\.tar\.\w+$", "", file) + re.search(r"\.tar\.\w+$", one.tarball)[0]
        place = downloads / file
        if "inner" in entry:
            place = place.with_name(entry["file"].format(version=version))
            file = place.name
            if not place.exists():
                unpack_inner(had, entry["inner"].format(version=version), place)
        elif not place.exists() or digest(place) != one.sha256:
            shutil.copy(had, place)
        return Source(name, wanted, version, file, top(place), one.sha256, f"{one.package} {one.version} ({one.suite})", kind, why)
    raise SourceError(f"{name}: the archive has no version of {entry['package']}; wanted: {wanted}")


def unpack_inner(outer: Path, name: str, place: Path) -> None:
    """Takes one tarball out of another; what the outer one is was held against the index."""
    with tarfile.open(outer) as tar:
        for member in tar:
            if Path(member.name).name == name and (inner := tar.extractfile(member)):
                part = place.with_name(f"{place.name}.part")
                with part.open("wb") as written:
                    shutil.copyfileobj(inner, written)
                part.replace(place)
                return
    raise SourceError(f"{outer} has no {name}")


def top(path: Path) -> str:
    """The folder that all of a tarball is in."""
    with tarfile.open(path) as tar:
        first = tar.next()
    if first is None:
        raise SourceError(f"{path} is empty")
    return first.name.removeprefix("./").partition("/")[0]


def upstream_version(upstream: str, wanted: str) -> str:
    """zlib 1.3.dfsg+really1.3.2 is 1.3.2; 1.2.6+dfsg is 1.2.6."""
    bare = upstream.rpartition("+really")[2]
    return wanted if re.sub(r"\+(dfsg|ds)\d*$", "", bare) == wanted else bare


def distance(version: str, wanted: str) -> tuple[bool, list[float]]:
    """For sorting: newer versions first, the nearest of them first, then older ones."""
    have, want = numbers(version), numbers(wanted)
    older = have < want
    return older, [-part for part in have] if older else [float(part) for part in have]


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def configuration(found: list[Source]) -> str:
    """What bitbake is told: a near version goes by its own number, in file and package names too."""
    lines = ["# Written by sources.py"]
    for one in found:
        if one.kind == "same":
            continue
        for name in RECIPES.get(one.recipe, (one.recipe, f"{one.recipe}-native")):
            lines += [f'STANDIN_FILE:pn-{name} = "{one.file}"', f'STANDIN_FOLDER:pn-{name} = "{one.folder}"']
            if one.kind == "near":
                # bitbake takes no ~ in a version.
                lines.append(f'PV:pn-{name} = "{one.version.replace("~", "+")}"')
    return "\n".join(lines) + "\n"


class Archive:
    """Debian's source packages, by apt with lists of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        host = self._host()
        for suite in SUITES:
            base = folder / suite
            (base / "lists/partial").mkdir(parents=True, exist_ok=True)
            (base / "files").mkdir(exist_ok=True)
            (base / "status").touch()
            (base / "debian.sources").write_text(
                f"Types: deb-src\nURIs: {host}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n")
            read = base / "read"
            # A list of a day ago may name versions that are gone.
            if not read.exists() or time.time() - read.stat().st_mtime > LISTS_SECONDS:
                self._apt(suite, "apt-get", "-qq", "update")
                read.touch()

    def releases(self, package: str) -> list[Release]:
        """Every version that an index names, each once."""
        found: dict[str, Release] = {}
        for suite in SUITES:
            # It ends with 100 where the suite has no such package.
            shown = self._apt(suite, "apt-cache", "showsrc", "--only-source", package, check=False)
            for stanza in shown.split("\n\n"):
                version = re.search(r"(?m)^Version: (\S+)$", stanza)
                sums = re.search(r"(?m)^Checksums-Sha256:\n((?: .*\n?)+)", stanza)
                if not version or not sums:
                    continue
                files = {name: checksum for checksum, _, name in
                         (line.split() for line in sums[1].splitlines())}
                tarball = next((name for name in files if re.search(r"\.orig\.tar\.\w+$", name)), None) or next(
                    (name for name in files if re.search(r"(?<!\.debian)\.tar\.\w+$", name)), None)
                if tarball:
                    found.setdefault(version[1], Release(package, suite, version[1], tarball, files[tarball]))
        return list(found.values())

    def tarball(self, release: Release) -> Path | None:
        """The tarball, held against the index; None where the pool lacks it."""
        path = self._folder / release.suite / "files" / release.tarball
        if not path.exists():
            # It fails where another of the package's files is missing, and may have got this one.
            self._apt(release.suite, "apt-get", "-qq", "source", "--download-only",
                      f"{release.package}={release.version}", check=False, cwd=path.parent)
        if not path.exists():
            return None
        if digest(path) != release.sha256:
            path.unlink()
            raise SourceError(f"{release.tarball} is not what the index says")
        return path

    def _apt(self, suite: str, program: str, *arguments: str, check: bool = True, cwd: Path | None = None) -> str:
        base = self._folder / suite
        options = {
            "Dir::State::lists": base / "lists", "Dir::State::status": base / "status", "Dir::Cache": base,
            "Dir::Etc::sourcelist": base / "debian.sources", "Dir::Etc::sourceparts": "/dev/null",
            "APT::Sandbox::User": "root", "Acquire::Retries": "3",
        }
        done = subprocess.run(
            [program, *(f"-o{key}={value}" for key, value in options.items()), *arguments],
            capture_output=True, text=True, check=False, cwd=cwd)
        if check and done.returncode != 0:
            raise SourceError(f"{program} {' '.join(arguments)} in {suite}: {done.stderr.strip()}")
        return done.stdout

    @staticmethod
    def _host() -> str:
        """Where this machine has its packages from."""
        found = []
        for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
            found += re.findall(r"(?m)^URIs: *(\S+/debian)/?\s*$", path.read_text())
        for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))]:
            if path.exists():
                found += re.findall(r"(?m)^deb (?:\[[^]]*\] )?(\S+/debian)/? ", path.read_text())
        if not found:
            raise SourceError("no apt source of this machine is Debian's archive: add one to /etc/apt/sources.list.d")
        return str(found[0])


if __name__ == "__main__":
    sys.exit(main())
