"""A release's version and contents: where the version stands, what gives it another one, and what is refused
before anything is made. All in a copy of its own; the programs are not built here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

from packages import ROOT

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]


class Places(unittest.TestCase):
    """The version is the same wherever it stands."""

    def test_every_package_recipe_and_document_has_it(self) -> None:
        for manifest in ("import/Cargo.toml", "mail/Cargo.toml"):
            self.assertEqual(tomllib.loads((ROOT / manifest).read_text())["package"]["version"], VERSION, manifest)
        for lock in ("Cargo.lock", "fuzz/Cargo.lock"):
            packages = tomllib.loads((ROOT / lock).read_text())["package"]
            ours = {package["name"]: package["version"] for package in packages if package["name"] in ("camfw", "camfw-import", "camfw-mail")}
            self.assertEqual(set(ours.values()), {VERSION}, lock)
        recipes = [path.stem.split("_")[1] for path in (ROOT / "meta-camfw/recipes-fw").glob("*/*.bb")]
        self.assertGreaterEqual(len(recipes), 4)
        self.assertEqual(set(recipes), {VERSION})
        for document, before in (("README.md", "Version "), ("docs/versioning.md", "version of its own, "),
                                 ("docs/getting-started.md", "camfw_"),
                                 ("meta-camfw/conf/distro/camfw-router.conf", 'DISTRO_VERSION = "')):
            self.assertIn(before + VERSION, (ROOT / document).read_text(), document)

    def test_the_changelog_says_what_it_has(self) -> None:
        self.assertRegex((ROOT / "CHANGELOG.md").read_text(), rf"(?m)^## (Unreleased$|{re.escape(VERSION)} \()")


class InACopy(unittest.TestCase):
    """packaging/version and packaging/release, tried on a copy of what is committed and what is not yet."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="camfw-release-")
        self.addCleanup(scratch.cleanup)
        self.clone = Path(scratch.name) / "camfw"
        listed = self.run_in(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.split("\n")
        for name in filter(None, listed):
            if (ROOT / name).is_file():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.clone / name, follow_symlinks=False)
            elif (ROOT / name).is_symlink():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                (self.clone / name).symlink_to((ROOT / name).readlink())
        # A changelog with something unreleased, whatever the real one has just now.
        changes = self.clone / "CHANGELOG.md"
        changes.write_text("# Changes\n\n## Unreleased\n\n### Commands\n- New: this test.\n\n## 0.0.1 (2020-01-01)\n- Old.\n")
        self.git("init", "-q")
        self.commit("a copy")

    def run_in(self, folder: Path, *command: str, expect: int = 0) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@camfw.invalid", "-c", "commit.gpgsign=false")
        return self.run_in(self.clone, "git", *identity, *arguments).stdout

    def commit(self, why: str) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", why)

    def test_another_version_stands_everywhere_and_the_recipe_takes_its_tarball(self) -> None:
        self.run_in(self.clone, "packaging/version", "99.0.1")
        self.run_in(self.clone, "git", "grep", "-F", VERSION, "--", "Cargo.toml", "import/Cargo.toml", "mail/Cargo.toml", "README.md",
                    "docs/getting-started.md", "docs/versioning.md", "meta-camfw/conf/distro", expect=1)
        manifest = tomllib.loads((self.clone / "Cargo.lock").read_text())["package"]
        programs = {"camfw", "camfw-mail", "camfw-import"}
        self.assertEqual({it["version"] for it in manifest if it["name"] in programs}, {"99.0.1"})
        self.assertTrue((self.clone / "meta-camfw/recipes-fw/camfw/camfw_99.0.1.bb").is_file())
        self.assertFalse(list(self.clone.glob(f"meta-camfw/recipes-fw/*/*_{VERSION}.bb")))
        self.assertRegex((self.clone / "CHANGELOG.md").read_text(), r"(?m)^## 99\.0\.1 \(\d{4}-\d\d-\d\d\)$")

        # Not yet: what is changed is not committed, then the recipe has another commit's sum.
        refused = self.run_in(self.clone, "packaging/release", expect=2).stderr
        self.assertIn("the tree is not what is committed", refused)
        self.commit("another version")
        self.run_in(self.clone, "packaging/source", "--recipe")
        self.commit("the recipe")
        # The tools that build are stand-ins: what packaging/build would have made is missed, and then there.
        refused = self.release(expect=2).stderr
        self.assertIn("99.0.1-1_amd64.deb: packaging/build", refused)
        for architecture in ("amd64", "arm64"):
            for program in ("camfw", "camfw-mail", "camfw-import"):
                (self.clone / f"build/release/{program}_99.0.1-1_{architecture}.deb").write_text(architecture)
            if architecture == "amd64":
                # Not one that another program has.
                self.assertIn("camfw_99.0.1-1_arm64.deb: packaging/build", self.release(expect=2).stderr)
        for machine in ("x86_64", "aarch64"):
            (self.clone / f"build/release/camfw-99.0.1-linux-{machine}.tar.gz").write_text(machine)
        image = self.clone.parent / "camfw-image.spdx.json"
        self.assertIn(f"there is no {image}", self.release("--image-sbom", str(image), expect=2).stderr)
        self.assertIn("there is no name", self.release("--image-sbom", expect=2).stderr)
        image.write_text('{"@graph": []}')
        self.release("--image-sbom", str(image))
        folder = self.clone / "build/release/99.0.1"
        self.assertEqual((folder / "camfw-image-99.0.1.spdx.json").read_text(), image.read_text())
        self.check_sums(folder, "camfw-image-99.0.1.spdx.json")
        # Without it nothing of the former one is left.
        self.release()
        self.assertFalse((folder / "camfw-image-99.0.1.spdx.json").exists())
        self.check_sums(folder, "camfw-99.0.1.tar.gz", "camfw_99.0.1-1_arm64.deb", "camfw-import_99.0.1-1_amd64.deb", "camfw-99.0.1-linux-x86_64.tar.gz",
                              "camfw-99.0.1-aarch64.cdx.json", "camfw-import-99.0.1-aarch64.cdx.json", "camfw-mail-99.0.1-x86_64.cdx.json",
                              "camfw-99.0.1-book.tar.gz", "NOTES.md")
        self.assertEqual((folder / "NOTES.md").read_text(), "### Commands\n- New: this test.\n")

    def check_sums(self, folder: Path, *names: str) -> None:
        """Each file of a release has its sum, and these are there."""
        self.run_in(folder, "sha256sum", "--check", "--strict", "SHA256SUMS")
        listed = {line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
        self.assertEqual(listed | {"SHA256SUMS"}, {path.name for path in folder.iterdir()})
        self.assertLessEqual(set(names), listed)

    def release(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess:
        tools = self.clone.parent / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "mdbook").write_text("""#!/bin/sh
case $1 in build) mkdir -p build/book; echo page >build/book/index.html ;; *) echo 'mdbook v0.5.4' ;; esac
""")
        (tools / "cargo").write_text("""#!/bin/sh
for name; do true; done
case $* in *--override-filename*) echo {} | tee "$name.json" "import/$name.json" >"mail/$name.json" ;; esac
""")
        for tool in tools.iterdir():
            tool.chmod(0o755)
        return self.run_in(self.clone, "env", f"PATH={tools}:/usr/bin:/bin", "packaging/release", "--binaries-made",
                           *arguments, expect=expect)

    def test_what_is_not_as_expected_is_refused_and_nothing_is_changed(self) -> None:
        for version, why in (("0.0.1", "is not later than"), ("next", "is no version; write it as 0.2.0")):
            self.assertIn(why, self.run_in(self.clone, "packaging/version", version, expect=2).stderr)
        readme = self.clone / "README.md"
        readme.write_text(readme.read_text().replace(f"Version {VERSION}", "Version x"))
        self.commit("a document without it")
        self.assertIn("README.md: ", self.run_in(self.clone, "packaging/version", "99.0.1", expect=2).stderr)
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.assertIn("has no section", self.run_in(self.clone, "packaging/release", expect=2).stderr)
        changes = self.clone / "CHANGELOG.md"
        released = f"## {VERSION} (2020-01-02)\n- Released.\n"
        changes.write_text(f"# Changes\n\n## Unreleased\n\n- Later.\n\n{released}")
        self.commit("changes without a version")
        self.assertIn("lists changes as unreleased", self.run_in(self.clone, "packaging/release", expect=2).stderr)
        # The control: a heading alone is none, and what is missed next is the recipe's commit, which this copy has not.
        changes.write_text(f"# Changes\n\n## Unreleased\n\n{released}")
        self.commit("all changes have one")
        said = self.run_in(self.clone, "packaging/release", expect=1).stderr
        self.assertRegex(said, "^packaging/source: this clone has no commit [0-9a-f]{40}; fetch the whole history, or name another\n$")


if __name__ == "__main__":
    unittest.main()
