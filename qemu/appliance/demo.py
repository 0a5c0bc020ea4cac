"""The demonstration: boots the appliance between three hosts, and shows who reaches whom.

Exits with 1 where anything is not as the policy says.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from lab import record, table
from lab.facts import Flow
from lab.namespace import LabError

from appliance import image, policy, terminal
from appliance.cpio import Entry
from appliance.image import Image, ImageError
from appliance.machine import Machine, MachineError
from appliance.policy import PolicyError
from appliance.scene import Scene
from appliance.watch import LET_THE_CAMERA_OUT, Watch

# What is recorded is in the file two seconds later, on a machine that is not busy.
RECORD_SECONDS = 180


def main() -> int:
    options = _options()
    # So that it cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="camfw-appliance-") as scratch:
            # vsftpd's user is not root, and works below here.
            Path(scratch).chmod(0o711)
            with Scene(Path(scratch)) as scene:
                if options.shell:
                    return _shell(scene, options)
                return 0 if _demonstrate(scene, options) else 1
    except (ImageError, PolicyError, MachineError, LabError, OSError) as error:
        print(f"qemu/run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="qemu/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Boots the appliance in QEMU between a camera, a laptop and the internet, and\n"
        "shows who reaches whom beside what the policy says. Exits with 1 where they differ.")
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="camfw's configuration; without it examples/camera-router.toml, or with --deploy the "
        "image's own, which is taken to be that example. Its networks must be those of the example")
    parser.add_argument("--backend", choices=sorted(image.BACKENDS), help="which iptables (default: legacy)")
    parser.add_argument("--deploy", type=Path, metavar="DIR", help="boot the image of a Yocto deploy folder")
    parser.add_argument("--shell", action="store_true", help="no demonstration: the console is yours")
    parser.add_argument("--binary", type=Path, metavar="FILE", help="camfw for aarch64, static; without it one that is "
                        "there already, else it is compiled")
    return parser.parse_args()


def _image(options: argparse.Namespace) -> tuple[Image, dict[str, Entry]]:
    """What to boot, and what to add to it."""
    files: dict[str, Entry] = {}
    if options.deploy:
        booted = image.deployed(options.deploy)
        if options.config:
            files |= image.configuration(options.config.read_text())
    else:
        booted = image.own()
        files |= image.program(options.binary) | image.configuration(_text(options))
    return booted, files | (image.backend(options.backend) if options.backend else {})


def _text(options: argparse.Namespace) -> str:
    return str((options.config or image.EXAMPLE).read_text())


def _shell(scene: Scene, options: argparse.Namespace) -> int:
    booted, files = _image(options)
    print("Around the router, each with its services:")
    for host in scene.hosts.values():
        print(f"  {host.name:8}  {host.address:15}  ip netns exec {host.namespace.name} bash")
    print(f"  ssh from the laptop:  ssh -i {scene.key} root@{scene.hosts['laptop'].wiring.router}")
    print("Ctrl-] ends it all.\n")
    with scene.boot(booted, files) as machine:
        terminal.attend(machine)
    return 0


def _demonstrate(scene: Scene, options: argparse.Namespace) -> bool:
    booted, files = _image(options)
    attempts = policy.attempts(_text(options))
    camera_stays_in = not any(
        allowed for flow, allowed in attempts if (flow.source, flow.target) == ("camera", "internet"))

    _title("The router boots; the camera sends to the internet all the time")
    with Watch(scene) as watch, scene.boot(booted, files) as machine:
        _say_times(machine)
        scene.wait_for_services(attempts)
        arrived = watch.stop()
        closed = not arrived.count or not camera_stays_in
        print(f"the camera sent {arrived.sent} packets, {arrived.count} arrived at the internet")

        # By the laptop, who may not be let in by another configuration.
        asks = (Flow("laptop", "router", "ssh"), True) in attempts
        if asks and not options.config:
            # What is tried before camfw watch is up is not recorded.
            scene.recorded(set(), RECORD_SECONDS)
        _title("Real clients of each host try every service of the router and of each other")
        rows = scene.try_all(attempts)
        print(table.render(rows))
        wanted = record.refused(attempts)
        named, why = (scene.recorded(wanted, RECORD_SECONDS) if asks else (set(), "the laptop has no SSH"))
        print(f"camfw blocked names {len(wanted & named)} of {len(wanted)} things that the camera tried and may not "
              f"{why}".rstrip())

    if not camera_stays_in:
        return not table.wrong(rows)

    _title("The same boot with a policy that lets the camera out, so that the count can be believed")
    control = files | image.configuration(_text(options) + LET_THE_CAMERA_OUT)
    with Watch(scene) as watch, scene.boot(booted, control) as machine:
        _say_times(machine)
        watch.wait(50)
        arrived = watch.stop()
        print(f"the camera sent {arrived.sent} packets, {arrived.count} arrived at the internet, "
              f"{arrived.forged} of them in the laptop's name")

    _title("So")
    verdicts = {
        "not one packet of the camera passed during the boot": closed,
        "once allowed, they pass": arrived.count > arrived.forged,
        "and only when the rules are in force: none passes in another's name": not arrived.forged,
        table.verdict(rows): not table.wrong(rows),
    }
    # Another configuration may have nothing recorded.
    if named or not options.config:
        verdicts["what the camera tried and may not is in the record"] = wanted <= named
    for what, holds in verdicts.items():
        print(f"  {'yes' if holds else 'NO '}  {what}")
    return all(verdicts.values())


def _say_times(machine: Machine) -> None:
    applied = machine.wait_for_kernel("camfw: (Applied|boot exited)")
    if "Applied" not in applied.text:
        said = "\n".join(line.text for line in machine.lines if "camfw" in line.text)
        raise MachineError(f"the policy was not applied:\n{said}")
    sealed = machine.wait_for_kernel("camfw: Sealed", 0)
    print(f"seconds from kernel start to Sealed {sealed.kernel:.2f}, to Applied {applied.kernel:.2f}")


def _title(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
