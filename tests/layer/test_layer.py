"""The layer's files: are they what they say, and do they agree with what they came from?"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
import types
import unittest
from pathlib import Path

from layer import LAYER, ROOT, VENV
from layer.bitbake import configuration, recipe

sys.path.append(str(ROOT / "qemu"))
from appliance import image  # noqa: E402

CRATES = LAYER / "recipes-fw/camfw/camfw-crates.inc"
KERNEL = LAYER / "recipes-kernel/linux"
[CAMFW] = LAYER.glob("recipes-fw/camfw/camfw_*.bb")
CHECKOUT = ROOT / "tests/yocto.d/meta-checkout/recipes-fw/camfw/camfw_%.bbappend"
[CONF] = LAYER.glob("recipes-fw/camfw/camfw-conf_*.bb")
CONF_OF_THE_BOARD = LAYER / "dynamic-layers/freescale-layer/recipes-fw/camfw/camfw-conf_%.bbappend"
IMAGE = LAYER / "recipes-core/images/camfw-image.bb"
EXAMPLE = ROOT / "examples/camera-router.toml"
BOARD = LAYER / "dynamic-layers/freescale-layer/recipes-fw/camfw/files/ls1046afrwy.toml"
PROGRAM = ROOT / "target/debug/camfw"


def metadata(*endings: str) -> list[Path]:
    """The layer's files that bitbake reads."""
    return sorted(path for ending in endings for path in LAYER.rglob(f"*.{ending}"))


class Lint(unittest.TestCase):
    """The style guide of OpenEmbedded."""

    def test_oelint_finds_nothing(self) -> None:
        files = metadata("bb", "bbappend", "inc", "conf", "bbclass")
        self.assertGreater(len(files), 10)
        # In the layer, where its .oelint.cfg is.
        done = subprocess.run(
            [VENV / "bin/oelint-adv", "--quiet", "--release", "wrynose", *files],
            cwd=LAYER, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr + done.stdout), (0, ""))

    def test_it_would_find_something(self) -> None:
        """The control: the same command, on a recipe that says nothing of itself."""
        with tempfile.TemporaryDirectory() as scratch:
            bare = Path(scratch, "bare_1.0.bb")
            bare.write_text('SUMMARY = "x"\n')
            done = subprocess.run(
                [VENV / "bin/oelint-adv", "--quiet", "--release", "wrynose", bare],
                cwd=LAYER, capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("oelint.var.mandatoryvar", done.stderr + done.stdout)


class Parse(unittest.TestCase):
    """bitbake's parser reads each file."""

    def test_layer_conf(self) -> None:
        data = configuration(LAYER / "conf/layer.conf")
        self.assertEqual(data.getVar("BBFILE_COLLECTIONS").split(), ["camfw"])
        self.assertEqual(data.getVar("LAYERDEPENDS_camfw"), "core")
        self.assertEqual(data.getVar("LAYERSERIES_COMPAT_camfw"), "wrynose")
        self.assertTrue(data.getVar("BBFILE_PRIORITY_camfw").isdigit())
        self.assertTrue(re.match(data.getVar("BBFILE_PATTERN_camfw"), str(CAMFW)))

    def test_every_file_of_the_layer_is_in_one_of_its_patterns(self) -> None:
        data = configuration(LAYER / "conf/layer.conf")
        patterns = data.getVar("BBFILES").split()
        dynamic = [entry.partition(":") for entry in data.getVar("BBFILES_DYNAMIC").split()]
        for collection, _, pattern in dynamic:
            self.assertIn(f"/dynamic-layers/{collection}/", pattern)
        patterns += [pattern for _, _, pattern in dynamic]
        for path in metadata("bb", "bbappend"):
            self.assertTrue(any(path.match(pattern) for pattern in patterns), path)

    def test_a_distribution_and_no_machine(self) -> None:
        self.assertTrue((LAYER / "conf/distro/camfw-router.conf").exists())
        self.assertFalse((LAYER / "conf/machine").exists())

    def test_recipes(self) -> None:
        for path in metadata("bb", "inc"):
            if path.is_relative_to(LAYER / "conf"):
                continue
            with self.subTest(path.name):
                recipe(path, DISTRO_FEATURES="camfw", CAMFW_IPTABLES="legacy")

    def test_what_a_recipe_installs_is_in_its_package(self) -> None:
        """do_package fails else, which needs OE-Core to be seen."""
        # Of bitbake.conf's own FILES, those that are used here.
        own = ("${sbindir}/", "${sysconfdir}/", "${libexecdir}/", "${mandir}/")
        for path in metadata("bb"):
            data = recipe(path, overrides="class-target", DISTRO_FEATURES="camfw", CAMFW_IPTABLES="legacy")
            install = data.getVar("do_install", False) or ""
            packages = [data.getVar("PN"), *(data.getVar("PACKAGE_BEFORE_PN") or "").split()]
            files = (*own, *(file for name in packages for file in (data.getVar(f"FILES:{name}") or "").split()))
            with self.subTest(path.name):
                for place in re.findall(r"\$\{D\}(\$\{\w+\}/\S+)", install):
                    # The folder that one in FILES is in comes along.
                    self.assertTrue(any(place.startswith(file) or file.startswith(f"{place}/") for file in files), place)

    def test_the_distribution(self) -> None:
        data = configuration(LAYER / "conf/distro/camfw-router.conf", BBPATH=str(LAYER))
        # The override of that name would make RDEPENDS:camfw one of RDEPENDS.
        self.assertNotIn(data.getVar("DISTRO"), {path.stem.partition("_")[0] for path in metadata("bb")})
        self.assertEqual(data.getVar("TCLIBC"), "musl")
        self.assertEqual(data.getVar("INIT_MANAGER"), "sysvinit")
        self.assertIn("camfw", data.getVar("DISTRO_FEATURES").split())
        self.assertEqual(data.getVar("SYSTEMD_AUTO_ENABLE:pn-iptables"), "disable")

    def test_the_layer_alone_changes_no_other_recipe(self) -> None:
        """yocto-check-layer's question, of each bbappend: without the feature it says nothing."""
        appends = [path for path in metadata("bbappend") if not path.name.startswith("camfw")]
        self.assertEqual({path.name for path in appends}, {"linux-yocto_%.bbappend", "linux-qoriq_%.bbappend", "busybox_%.bbappend"})
        for path in appends:
            with self.subTest(path.name):
                without = recipe(path, DISTRO_FEATURES="")
                feature = recipe(path, DISTRO_FEATURES="camfw")
                self.assertEqual(without.getVar("FILESEXTRAPATHS"), None)
                self.assertNotEqual(feature.getVar("FILESEXTRAPATHS"), None, "control")


class Crates(unittest.TestCase):
    """camfw-crates.inc is Cargo.lock; after a change: meta-camfw/scripts/crates."""

    def setUp(self) -> None:
        lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
        self.locked = {
            f"{package['name']}-{package['version']}": package["checksum"]
            for package in lock["package"] if "source" in package
        }
        self.data = recipe(CRATES)

    def test_crate_by_crate(self) -> None:
        uris = self.data.getVar("SRC_URI").split()
        self.assertEqual(len(uris), len(set(uris)))
        named = {"-".join(uri.removeprefix("crate://crates.io/").rsplit("/", 1)) for uri in uris}
        self.assertEqual(named, set(self.locked), "run meta-camfw/scripts/crates")

    def test_sum_by_sum(self) -> None:
        for crate, checksum in self.locked.items():
            with self.subTest(crate):
                self.assertEqual(self.data.getVarFlag("SRC_URI", f"{crate}.sha256sum"), checksum)
        flags = [flag for flag in self.data.getVarFlags("SRC_URI") if flag.endswith(".sha256sum")]
        self.assertEqual(len(flags), len(self.locked))

    def test_every_linked_crate_has_its_licence(self) -> None:
        """And no other crate is listed."""
        tree = subprocess.run(
            ["cargo", "tree", "--locked", "--package", "camfw", "--package", "camfw-mail",
             "--target", "aarch64-unknown-linux-musl", "--edges", "normal,build", "--prefix", "none", "--format", "{p}\t{l}"],
            cwd=ROOT, capture_output=True, text=True, check=True).stdout
        linked = dict(line.removesuffix(" (*)").split("\t") for line in tree.splitlines() if line)
        inc = (LAYER / "recipes-fw/camfw/camfw-licenses.inc").read_text()
        said = dict(re.findall(r"(?m)^#   (\S+) +(\S.*)$", inc))
        wanted = {}
        for crate, expression in linked.items():
            name, version, *rest = crate.split()
            if not any("(/" in part for part in rest):
                wanted[f"{name}-{version.removeprefix('v')}"] = set(re.findall(r"[\w.-]{3,}", expression)) - {"AND"}
        self.assertGreater(len(wanted), 50)
        self.assertEqual(
            {crate: set(re.findall(r"[\w.-]{3,}", terms)) for crate, terms in said.items()}, wanted,
            "run meta-camfw/scripts/crates")
        whole = set(re.findall(r"[\w.-]{3,}", recipe(CAMFW).getVar("LICENSE")))
        self.assertEqual(whole, set().union({"MIT"}, *wanted.values()))
        for crate in wanted:
            self.assertIn(f"/{crate}/", inc)


def targets() -> list[str]:
    """The files that Cargo.toml names, without which cargo does not read it."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    members = [f"{member}/Cargo.toml" for member in manifest["workspace"]["members"]]
    return members + [target.get("path", f"{kind}s/{target['name']}.rs")
                      for kind in ("test", "example", "bench", "bin") for target in manifest.get(kind, [])]


class Recipe(unittest.TestCase):
    """camfw's own recipe."""

    def setUp(self) -> None:
        self.data = recipe(CAMFW, overrides="class-target:libc-musl")

    def test_its_version_is_the_crates(self) -> None:
        manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
        self.assertEqual(self.data.getVar("PV"), manifest["package"]["version"])

    def test_its_source_is_a_release_that_packaging_source_makes_again(self) -> None:
        """From the commit that is written beside the sum."""
        text = (LAYER / "recipes-fw/camfw/camfw-source.inc").read_text()
        commit = re.search(r"(?m)^# packaging/source ([0-9a-f]{40})$", text)
        assert commit
        tarballs = [uri for uri in self.data.getVar("SRC_URI").split() if ".tar." in uri]
        self.assertEqual(len(tarballs), 1)
        self.assertTrue(tarballs[0].endswith(f"/camfw-{self.data.getVar('PV')}.tar.gz"), tarballs)
        if subprocess.run(["git", "cat-file", "-e", commit[1]], cwd=ROOT, capture_output=True, check=False).returncode != 0:
            self.fail(f"{commit[1]} is not in this clone's history")
        made = subprocess.run([ROOT / "packaging/source", commit[1]], capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(self.data.getVarFlag("SRC_URI", "sha256sum"), made[1])
        names = subprocess.run(["tar", "-tzf", ROOT / made[0]], capture_output=True, text=True, check=True).stdout
        for name in ("Cargo.toml", "Cargo.lock", "LICENSE", "src/main.rs", "qemu/overlay/etc/init.d/camfw", *targets()):
            self.assertIn(f"camfw-{self.data.getVar('PV')}/{name}\n", names)

    def test_whoever_has_no_tarball_is_told_what_to_do(self) -> None:
        """Before the fetch fails by an address that leads nowhere."""
        with tempfile.TemporaryDirectory(prefix="camfw-layer-") as downloads:
            def told(**more: str) -> list[str]:
                data = recipe(CAMFW, overrides="class-target:libc-musl", DL_DIR=downloads, **more)
                self.assertIn("camfw_where_from", data.getVarFlag("do_fetch", "prefuncs").split())
                said: list[str] = []
                names = {"bb": types.SimpleNamespace(warn=said.append), "os": os, "d": data}
                exec("def function():\n" + data.getVar("camfw_where_from", False) + "\nfunction()", names)  # noqa: S102
                return said

            [line] = told()
            for word in ("camfw-", ".tar.gz", "DL_DIR", "packaging/source", "CAMFW_RELEASES", "meta-checkout"):
                self.assertIn(word, line)
            self.assertEqual(told(CAMFW_RELEASES="https://mirror.example/camfw"), [])
            Path(downloads, f"camfw-{self.data.getVar('PV')}.tar.gz").touch()
            self.assertEqual(told(), [])

    def test_a_checkout_takes_the_place_of_the_release(self) -> None:
        self.data = recipe(CAMFW, appends=(CHECKOUT,), overrides="class-target:libc-musl")
        self.assertNotIn(".tar.", self.data.getVar("SRC_URI"))
        files = [uri.partition(";")[0].removeprefix("file://") for uri in self.data.getVar("SRC_URI").split()
                 if uri.startswith("file://")]
        self.assertIn("src", files)
        folders = [*self.data.getVar("FILESEXTRAPATHS").split(":"), CAMFW.parent / "files"]
        for name in files:
            self.assertTrue(any(folder and Path(folder, name).exists() for folder in folders), name)
        # So has what Cargo.toml names, or cargo does not read it; what it builds of that is no matter.
        for path in targets():
            self.assertTrue(any(Path(path).is_relative_to(name) for name in files), path)
        # What the crate includes as text has to come along, and what its manual is made of.
        for path in (*(ROOT / "src").rglob("*.rs"), ROOT / "packaging/manual.rs"):
            for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', path.read_text()):
                there = (path.parent / included).resolve().relative_to(ROOT)
                self.assertTrue(any(there.is_relative_to(name) for name in files), f"{path}: {included}")
                self.assertIn(str(there).partition("/")[0], {"src", "compat", "docs", "examples"}, "packaging/source")

    def test_the_manual_and_the_completion_are_made_natively_and_packaged_apart(self) -> None:
        """By do_install of both, with the program that writes them as it is built here."""
        places = {
            "UNPACKDIR": str(CAMFW.parent / "files"), "CARGO_TARGET_SUBDIR": "triple/release", "DISTRO_FEATURES": "",
            "READELF": "true", "sbindir": "/usr/sbin", "sysconfdir": "/etc", "localstatedir": "/var", "datadir": "/usr/share",
            "mandir": "/usr/share/man", "systemd_system_unitdir": "/usr/lib/systemd/system"}
        writer = PROGRAM.parent / "examples/manual"
        with tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
            built = Path(scratch, "build/target/triple/release")
            (built / "examples").mkdir(parents=True)
            (built / "camfw").touch()
            (built / "examples/manual").symlink_to(writer)
            images = {}
            for kind in ("native", "target"):
                data = recipe(CAMFW, overrides=f"class-{kind}", B=f"{scratch}/build", D=f"{scratch}/{kind}",
                              STAGING_DATADIR_NATIVE=f"{scratch}/native/usr/share", **places)
                data.setVar("S", str(ROOT))
                subprocess.run(["sh", "-euc", data.getVar("do_install")], check=True)
                images[kind] = {path.relative_to(f"{scratch}/{kind}") for path in Path(scratch, kind).rglob("*") if path.is_file()}
                # The target's program is built as before, and the native one waits for none.
                self.assertEqual("--example manual" in (data.getVar("CARGO_BUILD_FLAGS") or ""), kind == "native")
                self.assertEqual("camfw-native" in (data.getVar("DEPENDS") or "").split(), kind == "target")
            subprocess.run([writer, f"{scratch}/written"], check=True)
            pages = {Path(f"usr/share/man/man{path.suffix[1:]}", path.name) for path in Path(scratch, "written").glob("*.[58]")}
            self.assertGreater(len(pages), 25)
            completion = Path("usr/share/bash-completion/completions/camfw")
            self.assertEqual({path for path in images["target"] if path.is_relative_to("usr/share")}, {*pages, completion})
            self.assertEqual(Path(scratch, "target", completion).read_text(), Path(scratch, "written/camfw.bash").read_text())
        self.assertIn("camfw-bash-completion", data.getVar("PACKAGE_BEFORE_PN").split())
        self.assertEqual([f"/{completion.parents[1]}"], data.getVar("FILES:camfw-bash-completion").split())
        # An image without bash is built without it, too.
        self.assertFalse([name for name in ("DEPENDS", "RDEPENDS:camfw-bash-completion", "RRECOMMENDS:camfw-bash-completion")
                          if "bash-completion" in (data.getVar(name) or "").split()])

    def test_the_relays_page_names_the_programs_where_the_recipe_has_them(self) -> None:
        [mail] = LAYER.glob("recipes-fw/camfw-mail/camfw-mail_*.bb")
        installed = recipe(mail, libexecdir="/usr/libexec", sysconfdir="/etc").getVar("do_install")
        named = (ROOT / "mail/camfw-mail.8").read_text().replace("\\-", "-")
        for path in ("/usr/libexec/camfw-mail-prepare", "/etc/camfw-mail"):
            self.assertIn(path, named)
            self.assertRegex(installed, rf"\}}{path}\n")
        self.assertNotIn("/usr/share/doc", named)

    def test_the_licence_is_the_one_that_is_there(self) -> None:
        sums = re.findall(r"file://LICENSE;md5=(\w+)", self.data.getVar("LIC_FILES_CHKSUM"))
        real = subprocess.run(["md5sum", ROOT / "LICENSE"], capture_output=True, text=True, check=True).stdout.split()[0]
        self.assertEqual(sums, [real])

    def test_it_starts_first(self) -> None:
        self.assertEqual(self.data.getVar("INITSCRIPT_PARAMS"), "start 01 S .")
        # The appliance of qemu/ starts the same script at the same place.
        link = ROOT / "qemu/overlay/etc/rcS.d/S01camfw"
        self.assertEqual(link.readlink(), Path("../init.d/camfw"))
        self.assertEqual(min(path.name for path in link.parent.iterdir()), "S01camfw")

    def test_under_systemd_it_starts_before_the_network(self) -> None:
        unit = (LAYER / "recipes-fw/camfw/files/camfw.service").read_text()
        self.assertIn("DefaultDependencies=no\n", unit)
        self.assertRegex(unit, r"(?m)^Before=.*\bnetwork-pre\.target\b")
        self.assertRegex(unit, r"(?m)^Wants=network-pre\.target$")
        self.assertRegex(unit, r"(?m)^ExecStart=\S*/camfw \$CAMFW_ARGS boot$")
        # Nothing that fails keeps it from closing the box, and nothing writes after it.
        self.assertNotRegex(unit, r"(?m)^(Requires\w*|BindsTo|Requisite)=")
        self.assertRegex(unit, r"(?m)^WantsMountsFor=/etc/camfw/camfw.d /var/lib/camfw$")
        self.assertRegex(unit, r"(?m)^After=systemd-sysctl\.service$")

    def test_its_watch_starts_after_a_boot_that_failed(self) -> None:
        unit = (LAYER / "recipes-fw/camfw/files/camfw-watch.service").read_text()
        self.assertRegex(unit, r"(?m)^After=camfw\.service$")
        self.assertNotRegex(unit, r"(?m)^(Requires|BindsTo|Requisite)=")

    def test_what_systemd_sets_again_is_what_camfw_sets(self) -> None:
        done = subprocess.run(
            [PROGRAM, "--config", EXAMPLE, "show", "sysctls"], capture_output=True, text=True, check=True)
        ours = dict(re.findall(r"(?m)^(\S+) = (\S+)", done.stdout))
        lines = (LAYER / "recipes-fw/camfw/files/60-camfw.conf").read_text().splitlines()
        again = dict(line.split(" = ") for line in lines if not line.startswith("#"))
        self.assertEqual(set(again), {"net.ipv4.conf.default.rp_filter", "net.ipv4.conf.*.rp_filter"})
        for key, value in again.items():
            self.assertEqual(ours[key.replace("*", "eth0")], value)

    def test_the_extensions_of_iptables_that_it_needs_exist(self) -> None:
        """Packages of OE-Core's iptables are named by the extensions' files."""
        needed = self.data.getVar("RDEPENDS:camfw").split()
        modules = [name.removeprefix("iptables-module-") for name in needed if name.startswith("iptables-module-")]
        self.assertGreater(len(modules), 15)
        there = {path.stem.removeprefix("lib").replace("_", "-").lower()
                 for path in Path("/usr/lib").glob("*/xtables/lib*.so")}
        self.assertEqual([name for name in modules if name not in there], [])

    def test_and_are_those_of_the_image_that_tests_yocto_builds(self) -> None:
        needed = {name for name in self.data.getVar("RDEPENDS:camfw").split() if name.startswith("iptables-module-")}
        listed = (ROOT / "tests/yocto.d/image/manifest").read_text().split()
        self.assertEqual(needed, {name for name in listed if name.startswith("iptables-module-")})

    def test_and_the_rules_of_every_golden_have_theirs(self) -> None:
        modules = set(self.data.getVar("RDEPENDS:camfw").split())
        # The targets that libxt_NAT.so, libxt_CT.so have, by OE-Core's packages.
        files = {"snat": "nat", "dnat": "nat", "masquerade": "nat", "redirect": "ct"}
        lacking = set()
        rules = [line for path in (ROOT / "tests/golden").glob("*/v?.rules") for line in path.read_text().splitlines()]
        for line in rules:
            targets = re.findall(r" -j ([A-Z]+)\b", line)
            for name in [*re.findall(r" -m (\w+)", line), *targets]:
                name = files.get(name.lower(), name.lower())
                if name in {"accept", "drop", "return"}:
                    continue
                kinds = {f"iptables-module-{kind}-{name}" for kind in ("xt", "ipt", "ip6t")}
                if not kinds & modules:
                    lacking.add(name)
        self.assertGreater(len(rules), 100)
        self.assertEqual(lacking, set())


class Kernel(unittest.TestCase):
    """The fragments of the kernel's configuration."""

    def fragment(self, backend: str) -> set[str]:
        names = ("camfw.cfg", f"camfw-{backend}.cfg")
        return {line for name in names for line in (KERNEL / "files/camfw-kmeta" / name).read_text().splitlines()
                if line.startswith("CONFIG_")}

    def test_every_line_builds_something_in(self) -> None:
        for backend in ("legacy", "nft"):
            for line in self.fragment(backend):
                self.assertRegex(line, r"^CONFIG_[A-Z0-9_]+=y$")

    def test_each_fragment_is_a_feature_of_the_kernel_cache(self) -> None:
        folder = KERNEL / "files/camfw-kmeta"
        for path in folder.glob("*.cfg"):
            feature = path.with_suffix(".scc").read_text()
            self.assertIn(f"kconf non-hardware {path.name}\n", feature)
            self.assertRegex(feature, r'(?m)^define KFEATURE_DESCRIPTION ".+"$')
        for backend in ("legacy", "nft"):
            self.assertIn("include camfw.scc\n", (folder / f"camfw-{backend}.scc").read_text())
            data = recipe(KERNEL / "linux-yocto_%.bbappend", DISTRO_FEATURES="camfw", CAMFW_IPTABLES=backend)
            self.assertEqual(data.getVar("KERNEL_FEATURES").split(), [f"camfw-{backend}.scc"])
            for name in data.getVar("CAMFW_KERNEL_FRAGMENTS").split():
                self.assertTrue((KERNEL / "files" / name).is_file(), name)

    def test_has_what_camfw_says_it_needs(self) -> None:
        configurations = [EXAMPLE, *sorted((ROOT / "tests/golden").glob("*/config.toml"))]
        self.assertGreater(len(configurations), 5)
        for backend, flags in (("legacy", []), ("nft", ["--nft"])):
            there = {line.removesuffix("=y") for line in self.fragment(backend)}
            for path in configurations:
                with self.subTest(backend=backend, configuration=path.parent.name):
                    done = subprocess.run(
                        [PROGRAM, "--config", path, "show", "kernel", *flags],
                        capture_output=True, text=True, check=False,
                        env={**os.environ, "CAMFW_ROOT": str(path.parent / "root")})
                    self.assertEqual(done.returncode, 0, done.stderr)
                    needed = set(re.findall(r"(?m)^(CONFIG_[A-Z0-9_]+)", done.stdout))
                    self.assertGreater(len(needed), 5)
                    self.assertEqual(needed - there, set())


class Alone(unittest.TestCase):
    """The layer stands alone: copied anywhere, it is whole."""

    def test_nothing_in_it_leads_out_of_it(self) -> None:
        for path in LAYER.rglob("*"):
            if path.is_symlink():
                self.assertTrue(path.resolve().is_relative_to(LAYER), path)
        for path in metadata("bb", "bbappend", "inc", "conf", "bbclass"):
            self.assertNotIn("realpath", path.read_text(), path)
            self.assertNotRegex(path.read_text(), r"\.\./\.\./", path)

    def test_testimages_case_is_whole_in_a_copy(self) -> None:
        """Imported with stubs of OE-Core's own classes, and no checkout on the path."""
        with tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
            copy = Path(scratch, "meta-camfw")
            shutil.copytree(LAYER / "lib", copy / "lib", ignore=shutil.ignore_patterns("__pycache__"))
            program = (
                "import sys, types\n"
                f"sys.path[:0] = [{str(copy / 'lib')!r}, {str(copy / 'lib/oeqa/runtime/cases')!r}]\n"
                "def module(name, **values):\n"
                "    made = sys.modules[name] = types.ModuleType(name); vars(made).update(values)\n"
                "decorator = lambda *a, **k: (lambda test: test)\n"
                "module('oeqa.core.decorator.depends', OETestDepends=decorator)\n"
                "module('oeqa.runtime.case', OERuntimeTestCase=object)\n"
                "module('oeqa.runtime.decorator.package', OEHasPackage=decorator)\n"
                "import camfw\n"
                "print(sum(name.startswith('test_') for name in vars(camfw.CamfwTest)))\n")
            done = subprocess.run(
                ["python3", "-I", "-c", program], cwd=scratch, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(int(done.stdout), 7)

    def test_what_it_has_a_copy_of_is_the_same(self) -> None:
        files = LAYER / "recipes-fw/camfw/files"
        vsftpd = LAYER / "dynamic-layers/networking-layer/recipes-fw/camfw-vsftpd/files/vsftpd.conf"
        for ours, theirs in ((files / "camera-router.toml", EXAMPLE),
                             (vsftpd, ROOT / "qemu/overlay/etc/vsftpd.conf")):
            self.assertEqual(ours.read_text(), theirs.read_text(), f"copy {theirs.relative_to(ROOT)}")


class Image(unittest.TestCase):
    """The image, and what it makes of the configuration."""

    def test_the_boards_configuration_is_the_example_but_for_its_interfaces(self) -> None:
        example, board = (tomllib.loads(path.read_text()) for path in (EXAMPLE, BOARD))
        interfaces = [zone.pop("interface") for zone in board["zones"].values()]
        for zone in example["zones"].values():
            del zone["interface"]
        self.assertEqual(board, example)
        self.assertEqual(len({interface["path"] for interface in interfaces}), 3)

    def test_camfw_takes_it(self) -> None:
        done = subprocess.run([PROGRAM, "--config", BOARD, "check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_another_configuration_is_that_of_every_machine(self) -> None:
        """The bbappend of README.md: what it names wins over the machine's own."""
        readme = (LAYER / "README.md").read_text().partition("## Another configuration\n")[2]
        lines = readme.partition("    FILESEXTRAPATHS")[2].partition("\n\n")[0]
        with tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
            ours = Path(scratch, "camfw-conf_%.bbappend")
            ours.write_text(textwrap.dedent(f"    FILESEXTRAPATHS{lines}\n"))
            for machine, own in (("qemuarm64", "camera-router.toml"), ("ls1046afrwy", "ls1046afrwy.toml")):
                for appends, wanted in (((), own), ((ours,), "our-router.toml")):
                    with self.subTest(machine=machine, wanted=wanted):
                        data = recipe(CONF, overrides=machine, appends=(CONF_OF_THE_BOARD, *appends))
                        self.assertEqual(data.getVar("CAMFW_CONF"), wanted)
                        self.assertIn(f"file://{wanted};", data.getVar("SRC_URI"))

    def test_a_list_that_the_configuration_names_is_checked_and_packaged(self) -> None:
        denied = '[[deny]]\nfrom = "external"\nto = "any"\nsource = "@/etc/camfw/blocklist.txt"\n'
        for listed, entry, code in (("blocklist.txt", "198.51.100.0/24", 0), ("", "", 2), ("blocklist.txt", "no address", 2)):
            with self.subTest(listed=listed, entry=entry), tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
                source, work, image = (Path(scratch, name) for name in ("source", "work", "image"))
                for folder in (source, work / "conf"):
                    folder.mkdir(parents=True)
                (source / "router.toml").write_text(EXAMPLE.read_text() + denied)
                (source / "blocklist.txt").write_text(entry)
                data = recipe(CONF, S=str(source), WORKDIR=str(work), D=str(image), sysconfdir="/etc",
                              STAGING_DATADIR="/usr/share", CAMFW_CONF="router.toml", CAMFW_LISTS=listed)
                self.assertEqual("file://blocklist.txt;" in data.getVar("SRC_URI"), bool(listed))
                path = f"{PROGRAM.parent}:{os.environ['PATH']}"
                tasks = "set -e\n" + data.getVar("do_compile") + data.getVar("do_install")
                done = subprocess.run(["sh", "-c", tasks], capture_output=True, text=True, check=False,
                                      env={**os.environ, "PATH": path})
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual((image / "etc/camfw/blocklist.txt").exists(), code == 0)

    def test_under_runqemu_it_is_wired_as_the_example(self) -> None:
        data = recipe(IMAGE, ROOT_HOME="/root")
        cards = re.findall(r"-device virtio-net-pci,netdev=(\w+),mac=(\S+?),addr=(\w+)", data.getVar("QB_NETWORK_DEVICE"))
        self.assertEqual([name for name, _, _ in cards], ["external", "camera", "net0"])
        self.assertEqual(sorted(slot for _, _, slot in cards), [slot for _, _, slot in cards])
        self.assertNotRegex(data.getVar("QB_CMDLINE_IP_SLIRP"), r"(^|\s)ip=")
        self.assertNotRegex(data.getVar("QB_CMDLINE_IP_TAP"), r"(^|\s)ip=")

    def test_its_ports_on_the_host_are_the_builders_to_choose(self) -> None:
        data = recipe(IMAGE, ROOT_HOME="/root", CAMFW_QB_PORT="20000", CAMFW_QB_SSH_PORT="20022")
        self.assertIn("tcp:127.0.0.1:20022-192.168.5.200:22", data.getVar("QB_SLIRP_OPT"))
        self.assertEqual(
            re.findall(r"\.port=(\d+)", data.getVar("QB_NETWORK_DEVICE")), ["20000", "20001", "20002", "20003"])

    def test_an_image_with_its_wiring_has_what_runqemu_boots(self) -> None:
        wiring = recipe(IMAGE.with_name("camfw-image-qemu.inc"), overrides="qemuall", IMAGE_FSTYPES="tar.zst ext4.zst")
        self.assertIn(wiring.getVar("QB_DEFAULT_FSTYPE"), wiring.getVar("IMAGE_FSTYPES").split())

    def test_qemu_run_boots_it_and_no_other_image_beside_it(self) -> None:
        with tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
            folder = Path(scratch, "qemuarm64")
            folder.mkdir()
            names = ("Image", "camfw-image-qemuarm64.rootfs.ext4", "camfw-image-readonly-qemuarm64.rootfs.ext4")
            for seconds, name in enumerate(names):
                (folder / name).touch()
                os.utime(folder / name, (seconds, seconds))
            self.assertEqual(image.deployed(folder).disk, folder / names[1])
            # In a folder of another name, whatever there is.
            self.assertEqual(image.deployed(folder.rename(folder.with_name("copy"))).disk, folder.with_name("copy") / names[2])

    def test_mail_is_asked_for(self) -> None:
        self.assertNotIn("mail", recipe(IMAGE, ROOT_HOME="/root").getVar("IMAGE_INSTALL"))
        data = recipe(IMAGE, ROOT_HOME="/root", CAMFW_MAIL="1")
        self.assertLessEqual({"camfw-ftp", "camfw-mail"}, set(data.getVar("IMAGE_INSTALL").split()))
        self.assertIn("camfw_mail", data.getVar("TEST_SUITES").split())

    def test_who_init_starts_again(self) -> None:
        """A line of inittab, of sysvinit's form and of busybox's; once, and gone with the package."""
        names = set()
        for path in metadata("bb"):
            data = recipe(path, overrides="class-target:libc-musl", sysconfdir="/etc", libexecdir="/usr/libexec")
            command = data.getVar("CAMFW_RESPAWN")
            if not command:
                continue
            names.add(data.getVar("CAMFW_RESPAWN_ID"))
            for before, line in (("id:5:initdefault:\n", f"{data.getVar('CAMFW_RESPAWN_ID')}:2345:respawn:{command}\n"),
                                 ("::sysinit:/etc/init.d/rcS\n", f"::respawn:{command}\n")):
                with self.subTest(path.name, line=line), tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
                    inittab = Path(scratch, "etc/inittab")
                    inittab.parent.mkdir()
                    inittab.write_text(before)
                    for script, then in (("postinst", before + line), ("postinst", before + line), ("prerm", before)):
                        text = data.getVar(f"pkg_{script}:{data.getVar('PN')}") or data.getVar(f"pkg_{script}")
                        subprocess.run(["sh", "-euc", text], env={"D": scratch, "PATH": os.environ["PATH"]}, check=True)
                        self.assertEqual(inittab.read_text(), then)
        self.assertEqual(names, {"cw", "cp", "cf"})

    def test_leaves_out_what_is_only_recommended(self) -> None:
        """By the variable that all three kinds of package know: dpkg knows no BAD_RECOMMENDATIONS."""
        data = recipe(IMAGE, ROOT_HOME="/root")
        self.assertEqual(
            set(data.getVar("PACKAGE_EXCLUDE").split()), {"busybox-udhcpc", "ifupdown", "init-ifupdown", "iptables-modules"})
        self.assertNotIn("BAD_RECOMMENDATIONS", IMAGE.read_text())

    def test_what_is_written_lies_on_the_partition(self) -> None:
        places = {"servicedir": "/srv", "sysconfdir": "/etc", "localstatedir": "/var"}
        for there, more in (((), ""), (("srv/ftp",), " /srv/ftp"), (("srv/ftp", "etc/camfw-mail"), " /etc/camfw-mail /srv/ftp")):
            with self.subTest(there), tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
                data = recipe(IMAGE, ROOT_HOME="/root", IMAGE_ROOTFS=scratch, CAMFW_DATA_DEVICE="/dev/vdb", DISTRO_FEATURES="", **places)
                for folder in (*there, "etc"):
                    Path(scratch, folder).mkdir(parents=True, exist_ok=True)
                subprocess.run(["sh", "-euc", data.getVar("camfw_keep_on_data")], check=True)
                self.assertEqual(Path(scratch, "etc/default/camfw").read_text(),
                                 f'CAMFW_DATA=/data\nCAMFW_ON_DATA="/etc/camfw /var/lib{more}"\n')

    def test_the_first_boot_copies_whole_or_not_at_all_under_systemd_too(self) -> None:
        [command] = re.findall(r"(?m)^    ExecStart=/bin/sh -c '(.*)'$", (LAYER / "README.md").read_text())
        for left in ((), ("etc.new/half",), ("etc/camfw.toml",)):
            with self.subTest(left), tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
                own, data = Path(scratch, "etc/camfw"), Path(scratch, "data")
                own.mkdir(parents=True)
                (own / "camfw.toml").write_text("the image's")
                for file in left:
                    (data / file).parent.mkdir(parents=True)
                    (data / file).write_text("the partition's")
                here = command.replace("/data", str(data)).replace(" /etc/camfw ", f" {own} ")
                subprocess.run(["sh", "-c", here], check=True)
                whose = "the partition's" if "etc/camfw.toml" in left else "the image's"
                self.assertEqual((data / "etc/camfw.toml").read_text(), whose)
                self.assertEqual(sorted(it.name for it in data.rglob("*")), ["camfw.toml", "etc", "lib"])

    def test_other_writers_are_looked_for_after_all_that_makes_links(self) -> None:
        data = recipe(IMAGE, ROOT_HOME="/root")
        # OE-Core's classes come after this one, and theirs enables what presets enable.
        name = "ROOTFS_POSTPROCESS_COMMAND"
        data.setVar(name, data.getVar(name, False, parsing=True) + " systemd_handle_machine_id", parsing=True)
        self.assertEqual(data.getVar(name).split()[-2:], ["systemd_handle_machine_id", "camfw_only_writer"])

    def test_turning_it_off_takes_no_setuid_program(self) -> None:
        data = recipe(IMAGE, ROOT_HOME="/root", base_sbindir="/sbin")
        self.assertIn("camfw_halt_by_root", data.getVar("ROOTFS_POSTPROCESS_COMMAND").split())
        with tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
            data.setVar("IMAGE_ROOTFS", scratch)
            program = Path(scratch, "sbin/halt.sysvinit")
            program.parent.mkdir()
            program.touch()
            program.chmod(0o4750)
            subprocess.run(["sh", "-ec", data.getVar("camfw_halt_by_root")], check=True)
            self.assertEqual(program.stat().st_mode & 0o7777, 0o750)

    def test_the_commands_of_the_readme_are_those_of_the_kas_file(self) -> None:
        """tests/yocto's part runqemu runs the one of runqemu, word for word."""
        pattern = r"(?m)^(?:#|  ) +(kas .*camfw-qemuarm64\.yml\S*(?: -c '.*')?)"
        readme, kas = (re.findall(pattern, path.read_text())
                       for path in (LAYER / "README.md", LAYER / "kas/camfw-qemuarm64.yml"))
        self.assertEqual(readme, kas)
        self.assertEqual(len(kas), 3)

    def test_what_stands_in_for_what_is_told_as_it_is(self) -> None:
        """tests/yocto.d/README.md has the tables that its programs go by."""
        image = ROOT / "tests/yocto.d/image"
        done = subprocess.run(
            ["python3", image / "standins.py", image / "stand-ins.toml", "markdown", image / "sources.toml"],
            capture_output=True, text=True, check=True)
        told = (ROOT / "tests/yocto.d/README.md").read_text()
        self.assertIn(done.stdout, told, "write it with standins.py ... markdown")

    def test_the_recipes_that_are_built_are_found_by_their_place(self) -> None:
        """A mask with a folder's name let all of OE-Core's recipes in where the checkout had another."""
        image = ROOT / "tests/yocto.d/image"
        conf = subprocess.run(["python3", image / "standins.py", image / "stand-ins.toml", "conf"],
                              capture_output=True, text=True, check=True).stdout
        mask = conf.split('BBMASK += "')[1].split('"')[0]
        for checkout in ("/a/openembedded-core", "/b/oe-core", "/c/poky"):
            masked = re.compile(mask.replace("${COREBASE}", checkout))
            self.assertTrue(masked.search(f"{checkout}/meta/recipes-graphics/xorg-lib/libxcb_1.17.0.bb"))
            self.assertFalse(masked.search(f"{checkout}/meta/recipes-core/busybox/busybox_1.37.0.bb"))

    def test_no_kas_file_is_read_by_a_path_that_kas_warns_of(self) -> None:
        """It wants what a file includes named from the repository's root."""
        included = []
        for path in (LAYER / "kas").glob("*.yml"):
            for name in re.findall(r"(?m)^    - (\S+\.yml)$", path.read_text()):
                self.assertTrue((ROOT / name).is_file(), name)
                included.append(name)
        self.assertEqual(set(included), {"meta-camfw/kas/base.yml"})

    def test_kas_files_are_what_kas_takes_and_pin_every_revision(self) -> None:
        files = sorted((LAYER / "kas").glob("*.yml"))
        self.assertGreaterEqual(len(files), 2)
        script = (
            "import json, sys, yaml, jsonschema, kas.configschema as schema\n"
            "for path in sys.argv[1:]:\n"
            "    config = yaml.safe_load(open(path))\n"
            "    jsonschema.validate(config, schema.CONFIGSCHEMA)\n"
            "    print(json.dumps(config))\n")
        done = subprocess.run([VENV / "bin/python", "-c", script, *files], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in done.stdout.splitlines():
            for name, repository in (json.loads(line).get("repos") or {}).items():
                if repository and "url" in repository:
                    self.assertRegex(repository["commit"], r"^[0-9a-f]{40}$", name)


if __name__ == "__main__":
    unittest.main()
