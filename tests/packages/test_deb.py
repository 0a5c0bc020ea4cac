"""The Debian package: what is in it, that its units are systemd's, that installing it
changes nothing, and that removing it leaves what is loaded.

Its program is a stand-in, a static one of a few instructions: what the real one does is
tested elsewhere, and building it takes minutes. dpkg works in a root of its own.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from packages import ROOT

# Both programs, installed beside each other; what a box has for them is there.
INSTALL_AND_REMOVE_MAIL = """
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -e
state() {
    echo "boot: $(ls /etc/rc?.d | grep -c '^S..camfw-mail$' || true) $(ls -d /etc/systemd/system/*.wants/camfw-mail* 2>/dev/null | wc -l)"
    echo "runs: $(ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c camfw-mail || true)"
}
echo "== install"; dpkg -i /run/camfw.deb /run/mail.deb; state
id camfw-mail; getent passwd camfw-mail
stat -c '%A %U %G' /etc/camfw-mail
echo "== control"; /usr/sbin/camfw-mail &
for _ in $(seq 300); do [ "$(readlink /proc/$!/exe)" != /usr/sbin/camfw-mail ] || break; sleep 0.1; done
state; kill $!; wait $! || true
install -m 400 -o camfw-mail /dev/null /etc/camfw-mail/password
# As camfw with a good file that has no [mail]; and a log of this root's own.
printf '#!/bin/sh\n[ "$1" = check ]\n' >/usr/sbin/camfw
touch /run/kmsg; mount --bind /run/kmsg /dev/kmsg
echo "== start"; /etc/init.d/camfw-mail start; state; cat /run/kmsg
echo "== again"; dpkg -i /run/mail.deb; state
echo "== remove"; dpkg -r camfw-mail; state
test ! -e /usr/sbin/camfw-mail
test -e /etc/camfw-mail/password
echo "== purge"; dpkg -P camfw-mail; state
test ! -e /etc/camfw-mail
test ! -e /etc/init.d/camfw-mail
"""

UNITS = ("camfw.service", "camfw-watch.service", "camfw-page.service", "camfw-refresh.service", "camfw-refresh.timer")
SCRIPTS = ("postinst", "prerm", "postrm")
# What writes rules, settings or interfaces, or loads or takes away what does.
CHANGES = re.compile(r"\b(ip|nft|sysctl|ifup|ifdown|modprobe|ip6?tables\S*|camfw (boot|apply|seal|open|refresh))\b")

# In namespaces of its own: mounts, so that what dpkg writes is in memory over this
# machine's files, a network, so that the rules are the test's, and processes, so that what
# runs is the package's.
IN_A_ROOT_OF_ITS_OWN = """
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
mount -t proc proc "$1/root/proc"
mkdir -p "$1/root/var/lib/camfw"
cp "$2" "$1/root/run/camfw.deb"
[ -z "${4-}" ] || cp "$4" "$1/root/run/mail.deb"
chroot "$1/root" sh -c "$3"
"""
# Each step says what it did to the rules, and what is enabled.
INSTALL_AND_REMOVE = """
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -e
state() {
    echo "rules: $(/usr/sbin/iptables-legacy-save | grep -c -- '-j DROP' || true)"
    echo "boot: $(ls /etc/rc?.d | grep -c '^S..camfw$' || true) $(ls -d /etc/systemd/system/*.wants/camfw* 2>/dev/null | wc -l)"
}
/usr/sbin/iptables-legacy -A INPUT -s 192.0.2.1 -j DROP
echo kept >/var/lib/camfw/last-good
echo "== before"; state
echo "== install"; dpkg -i /run/camfw.deb; state
test -x /usr/sbin/camfw
echo '# mine' >/etc/camfw/camfw.toml
echo "== again"; dpkg -i /run/camfw.deb; state
echo "== enable"; sh -c "$ENABLE"; state; ls /etc/rcS.d | grep camfw; ls -d /etc/systemd/system/*.wants/camfw*
systemctl disable camfw camfw-watch camfw-refresh.timer; update-rc.d camfw disable
echo "== remove"; dpkg -r camfw; state
test ! -e /usr/sbin/camfw
cat /etc/camfw/camfw.toml /var/lib/camfw/last-good
echo "== purge"; dpkg -P camfw; state
cat /etc/camfw/camfw.toml
test ! -e /var/lib/camfw/last-good
test ! -e /etc/init.d/camfw
"""


def static_program(machine: int, *, stays: bool = False) -> bytes:
    """An ELF file of 64 bits with one segment: exit(0) on x86-64, or pause() for ever."""
    code = b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7" if stays else b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05"
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    size = 64 + 56 + len(code)
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return ident + header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 4096) + code


def deb(folder: Path, architecture: str, machine: int, *options: str) -> Path:
    program = folder / f"camfw-{architecture}"
    # The relay stays once it is started, or nobody could see that it was.
    program.write_bytes(static_program(machine, stays="--mail" in options))
    made = subprocess.run([ROOT / "packaging/deb", *options, architecture, program], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise AssertionError(made.stderr)
    return ROOT / made.stdout.split()[0]


class Debian(unittest.TestCase):
    """A package, made once; a base class without tests."""

    OPTIONS: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="camfw-deb-")
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = Path(scratch.name)
        cls.amd64 = deb(cls.scratch, "amd64", 62, *cls.OPTIONS)
        cls.root = cls.scratch / "root"
        subprocess.run(["dpkg-deb", "-R", cls.amd64, cls.root], check=True)

    def field(self, package: Path, name: str) -> str:
        return subprocess.run(
            ["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()

    def verify_root(self) -> Path:
        """The package's tree with systemd's own units beside it."""
        root = self.scratch / "verify"
        if not root.exists():
            shutil.copytree(self.root, root)
            for folder in ("lib/systemd/system", "usr/lib/systemd/system"):
                source = Path("/", folder)
                if source.is_dir() and not (root / folder).is_symlink():
                    shutil.copytree(source, root / folder, symlinks=True, dirs_exist_ok=True)
        return root

    def lintian(self) -> None:
        done = subprocess.run(
            ["lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning", self.amd64],
            capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def verify_units(self, *units: str) -> None:
        """By systemd, which looks for the programs that they start, too."""
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--generators=no", f"--root={self.verify_root()}",
             *(f"/lib/systemd/system/{unit}" for unit in units)], capture_output=True, text=True, check=False)
        found = [line for line in verified.stderr.splitlines() if "camfw" in line]
        self.assertEqual((verified.returncode, found), (0, []), verified.stderr)

    def change_nothing(self) -> None:
        """No script of the package's changes a rule or an interface, or starts what did not run."""
        for name in SCRIPTS:
            script = self.root / "DEBIAN" / name
            subprocess.run(["sh", "-n", script], check=True)
            commands = re.sub(r"(?s)<<'TEXT'.*?\nTEXT\n", "\n", script.read_text())
            for line in commands.splitlines():
                line = line.partition("#")[0]
                self.assertIsNone(CHANGES.search(line), f"{name}: {line}")
                self.assertNotRegex(line, r"\bsystemctl (enable|start|restart|reload)\b", name)

    def in_a_root(self, script: str, camfw: Path, *mail: Path) -> dict[str, str]:
        """What each step of a script says, in a root of its own with the packages."""
        root = self.scratch / "mounts"
        root.mkdir()
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", IN_A_ROOT_OF_ITS_OWN, "sh", root, camfw, script, *mail],
            capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return dict(re.findall(r"(?ms)^== (\w+)$(.*?)(?=^==|\Z)", done.stdout))


class Package(Debian):
    """camfw's, of both architectures."""

    def test_it_has_all_that_a_box_needs_and_root_owns_it(self) -> None:
        listed = subprocess.run(["dpkg-deb", "-c", self.amd64], capture_output=True, text=True, check=True).stdout
        entries = {line.split()[5].removeprefix("."): line.split() for line in listed.splitlines()}
        files = ["/usr/sbin/camfw", "/usr/lib/camfw/camfw-page", "/etc/init.d/camfw", "/etc/default/camfw", "/etc/camfw/camfw.d/",
                 "/usr/share/man/man8/camfw.8.gz", "/usr/share/man/man8/camfw-apply.8.gz",
                 "/usr/share/man/man5/camfw.toml.5.gz", "/usr/share/bash-completion/completions/camfw",
                 "/usr/share/doc/camfw/copyright", "/usr/share/doc/camfw/docs/getting-started.md",
                 "/usr/share/doc/camfw/docs/camfw.schema.json", "/usr/share/doc/camfw/examples/six-cameras.toml",
                 "/usr/share/doc/camfw/examples/alerts.yml", "/usr/share/doc/camfw/examples/auditing/article.rules",
                 *(f"/lib/systemd/system/{unit}" for unit in UNITS)]
        for file in files:
            self.assertIn(file, entries)
        for name, (mode, owner, *_) in entries.items():
            self.assertEqual(owner, "root/root", name)
            self.assertNotRegex(mode, r"^.....w|^........w", name)
        # No file of the owner's: what is there is not enabled, and says nothing.
        self.assertNotIn("/etc/camfw/camfw.toml", entries)
        self.assertFalse([name for name in entries if ".wants/" in name or "/rcS.d/" in name])
        conffiles = (self.root / "DEBIAN/conffiles").read_text().split()
        self.assertEqual(conffiles, ["/etc/default/camfw", "/etc/init.d/camfw"])
        self.assertIn("iptables (>= 1.8)", self.field(self.amd64, "Depends"))
        licences = gzip.decompress((self.root / "usr/share/doc/camfw/licences.gz").read_bytes()).decode()
        crates = set(re.findall(r"(?m)^  (\S+) \d\S*: ", licences))
        self.assertLessEqual({"iptables", "rtnetlink", "toml", "serde"}, crates)
        self.assertNotIn("libtest-mimic", crates)

    def test_the_same_bytes_twice_and_each_architecture_its_own(self) -> None:
        before = self.amd64.read_bytes()
        self.assertEqual(deb(self.scratch, "amd64", 62).read_bytes(), before)
        arm64 = deb(self.scratch, "arm64", 183)
        self.assertEqual(self.field(arm64, "Architecture"), "arm64")
        wrong = subprocess.run([ROOT / "packaging/deb", "arm64", self.scratch / "camfw-amd64"],
                               capture_output=True, text=True, check=False)
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
        self.assertIn("is no program of arm64", wrong.stderr)
        dynamic = subprocess.run([ROOT / "packaging/deb", "amd64", "/bin/true"],
                                 capture_output=True, text=True, check=False)
        self.assertEqual(dynamic.returncode, 2)
        self.assertIn("is not static", dynamic.stderr)

    def test_systemd_takes_the_units(self) -> None:
        units = [self.root / "lib/systemd/system" / unit for unit in UNITS]
        self.verify_units(*UNITS)
        # The control: a directive that there is none of.
        bad = self.scratch / "bad.service"
        bad.write_text(units[1].read_text().replace("ProtectSystem=", "ProtectSystems="))
        told = subprocess.run(["systemd-analyze", "verify", "--man=no", bad], capture_output=True, text=True, check=False)
        self.assertIn("ProtectSystems", told.stderr)

    def test_each_hardening_directive_is_there_or_says_why_not(self) -> None:
        units = {unit: (self.root / "lib/systemd/system" / unit).read_text() for unit in UNITS if unit.endswith(".service")}
        # Its reasons are the other's.
        units["camfw-refresh.service"] += units["camfw-watch.service"]
        for unit, text in units.items():
            rated = subprocess.run(
                ["systemd-analyze", "security", "--offline=yes", "--json=short", f"--root={self.verify_root()}",
                 f"/lib/systemd/system/{unit}"], capture_output=True, text=True, check=False)
            exposed = {it["json_field"].partition("_")[0] for it in json.loads(rated.stdout) if it["set"] is False}
            self.assertTrue(exposed, rated.stdout)
            names = {"UserOrDynamicUser": "User", "RootDirectoryOrRootImage": "RootDirectory"}
            unsaid = {name for name in exposed if f"{names.get(name, name)}=" not in text}
            self.assertEqual(unsaid, set(), unit)

    def test_lintian_finds_nothing(self) -> None:
        self.lintian()

    def test_no_script_changes_a_rule_or_an_interface(self) -> None:
        self.change_nothing()

    def test_installing_and_removing_leave_the_rules_and_say_what_next(self) -> None:
        # What is said to enable it is what enables it, with either init.
        said = (self.root / "DEBIAN/postinst").read_text()
        enable = re.findall(r"(systemctl enable (?:camfw\S* )+|update-rc.d camfw enable)", said)
        self.assertEqual(len(enable), 2, said)
        parts = self.in_a_root(INSTALL_AND_REMOVE.replace("$ENABLE", "; ".join(enable)), self.amd64)
        self.assertEqual(list(parts), ["before", "install", "again", "enable", "remove", "purge"])
        states = {name: re.findall(r"(?m)^(?:rules|boot): .*$", text) for name, text in parts.items()}
        self.assertEqual(states.pop("enable"), ["rules: 1", "boot: 1 3"], parts)
        for link in ("sysinit.target.wants/camfw.service", "multi-user.target.wants/camfw-watch.service",
                     "timers.target.wants/camfw-refresh.timer"):
            self.assertIn(link, parts["enable"])
        for name, state in states.items():
            self.assertEqual(state, ["rules: 1", "boot: 0 0"], (name, parts))
        self.assertIn("nothing is changed", parts["install"])
        for step in ("camfw check", "camfw apply  ", "camfw apply --confirm 5m", "systemctl enable camfw", "update-rc.d camfw enable"):
            self.assertIn(step, parts["install"])
        # Only the first time.
        self.assertNotIn("camfw check", parts["again"])
        self.assertIn("stay in force until the next boot", parts["remove"])
        self.assertIn("# mine", parts["remove"])
        self.assertIn("kept", parts["remove"])
        self.assertIn("# mine", parts["purge"])


class MailPackage(Debian):
    """camfw-mail's."""

    OPTIONS = ("--mail",)

    def test_it_has_what_the_relay_needs_and_lintian_finds_nothing(self) -> None:
        listed = subprocess.run(["dpkg-deb", "-c", self.amd64], capture_output=True, text=True, check=True).stdout
        entries = {line.split()[5].removeprefix("."): line.split() for line in listed.splitlines()}
        for file in ("/usr/sbin/camfw-mail", "/usr/lib/camfw/mail-prepare", "/etc/init.d/camfw-mail", "/etc/camfw-mail/",
                     "/lib/systemd/system/camfw-mail.service", "/usr/share/man/man8/camfw-mail.8.gz",
                     "/usr/share/doc/camfw-mail/mail.md", "/usr/share/doc/camfw-mail/copyright"):
            self.assertIn(file, entries)
        for name, (mode, owner, *_) in entries.items():
            self.assertEqual(owner, "root/root", name)
            self.assertNotRegex(mode, r"^.....w|^........w", name)
        self.assertFalse([name for name in entries if ".wants/" in name or re.search("/rc.[.]d/", name)])
        self.assertEqual((self.root / "DEBIAN/conffiles").read_text().split(), ["/etc/init.d/camfw-mail"])
        depends = self.field(self.amd64, "Depends")
        for package in ("camfw (= ", "msmtp", "vsftpd", "ca-certificates"):
            self.assertIn(package, depends)
        licences = gzip.decompress((self.root / "usr/share/doc/camfw-mail/licences.gz").read_bytes()).decode()
        crates = set(re.findall(r"(?m)^  (\S+) \d\S*: ", licences))
        self.assertLessEqual({"mail-builder", "sha2", "nix"}, crates)
        self.assertNotIn("rtnetlink", crates)
        page = gzip.decompress((self.root / "usr/share/man/man8/camfw-mail.8.gz").read_bytes()).decode().replace("\\-", "-")
        self.assertTrue(page.endswith(".BR msmtp (1),\n.I /usr/share/doc/camfw-mail/mail.md\n"), page)
        for text in ((self.root / "etc/init.d/camfw-mail").read_text(), self.unit(), page):
            self.assertIn("/usr/lib/camfw/mail-prepare", text)
            self.assertNotIn("libexec", text)
        self.lintian()
        self.change_nothing()

    def unit(self) -> str:
        return (self.root / "lib/systemd/system/camfw-mail.service").read_text()

    def test_systemd_takes_the_unit_and_finds_it_hardened(self) -> None:
        self.verify_units("camfw-mail.service")
        rated = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--json=short", f"--root={self.verify_root()}",
             "/lib/systemd/system/camfw-mail.service"], capture_output=True, text=True, check=False)
        exposed = {it["json_field"] for it in json.loads(rated.stdout) if it["set"] is False}
        # It sends, reads what the FTP server's group may, and resolves names.
        self.assertLessEqual(exposed, {
            "PrivateNetwork", "RestrictAddressFamilies_AF_INET_INET6", "RestrictAddressFamilies_AF_UNIX", "IPAddressDeny",
            "RootDirectoryOrRootImage", "ProcSubset", "PrivateUsers", "DeviceAllow", "SupplementaryGroups"}, rated.stdout)

    def test_installing_it_starts_nothing_and_without_mail_nor_does_its_script(self) -> None:
        parts = self.in_a_root(INSTALL_AND_REMOVE_MAIL, deb(self.scratch, "amd64", 62), self.amd64)
        self.assertEqual(list(parts), ["install", "control", "start", "again", "remove", "purge"])
        for name, text in parts.items():
            runs = "runs: 1" if name == "control" else "runs: 0"
            self.assertEqual(re.findall(r"(?m)^(?:boot|runs): .*$", text), ["boot: 0 0", runs], (name, parts))
        self.assertIn("nothing is started", parts["install"])
        self.assertNotIn("nothing is started", parts["again"])
        self.assertRegex(parts["install"], r"uid=\d+\(camfw-mail\) gid=\d+\(camfw-mail\) groups=.*\(ftp\)")
        self.assertIn(":/nonexistent:/usr/sbin/nologin", parts["install"])
        self.assertIn("drwxr-x--- root camfw-mail", parts["install"])
        self.assertEqual(parts["start"].strip().splitlines()[-1], "<31>camfw-mail: no [mail] in the file")
        self.assertIn("is not sent", parts["remove"])


class ImportPackage(Debian):
    """camfw-import's, which is for the desk."""

    OPTIONS = ("--import",)

    def test_it_has_the_program_its_manual_and_the_licences_and_nothing_else(self) -> None:
        entries = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}
        documents = ("changelog.Debian.gz", "changelog.gz", "copyright", "import.md", "licences.gz")
        self.assertEqual(entries, {
            "DEBIAN/control", "DEBIAN/md5sums", "usr/bin/camfw-import", "usr/share/man/man1/camfw-import.1.gz",
            "usr/share/lintian/overrides/camfw-import", *(f"usr/share/doc/camfw-import/{name}" for name in documents)})
        self.assertEqual(self.field(self.amd64, "Depends"), "", "it runs anywhere")
        self.assertEqual(self.field(deb(self.scratch, "arm64", 183, "--import"), "Architecture"), "arm64")
        licences = gzip.decompress((self.root / "usr/share/doc/camfw-import/licences.gz").read_bytes()).decode()
        crates = set(re.findall(r"(?m)^  (\S+) \d\S*: ", licences))
        self.assertLessEqual({"ipnet", "lexopt", "serde_json", "thiserror"}, crates)
        self.assertNotIn("rtnetlink", crates)
        self.lintian()

    def test_its_manual_has_each_flag_of_its_help(self) -> None:
        manual = gzip.decompress((self.root / "usr/share/man/man1/camfw-import.1.gz").read_bytes()).decode()
        told = (ROOT / "import/src/main.rs").read_text().partition('const HELP: &str = "')[2].partition('";')[0]
        flags = re.findall(r"(?m)^  --(\w+) ", told)
        self.assertEqual(len(flags), 6, told)
        self.assertEqual(re.findall(r"(?m)^\.BI \\-\\-(\w+) ", manual), flags)

    def test_it_is_installed_and_removed(self) -> None:
        parts = self.in_a_root("""
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
echo "== install"; dpkg -i /run/camfw.deb; camfw-import; echo "exit $?"
echo "== purge"; dpkg -P camfw-import; test ! -e /usr/bin/camfw-import
""", self.amd64)
        self.assertEqual(list(parts), ["install", "purge"])
        self.assertIn("exit 0", parts["install"])
