"""Owns what an image with camfw_services asks of its distribution, so that what does not go together is told
when the recipes are read, and not hours later or at the first boot."""

from __future__ import annotations

from collections.abc import Collection

BACKENDS = ("legacy", "nft")

# Without the feature the image is built all the same.
NO_FEATURE = (
    "DISTRO_FEATURES lacks camfw, so that the kernel gets none of the options that camfw's rules need; say "
    "require conf/distro/include/camfw.inc in your distribution's .conf or in local.conf, or see to the kernel "
    'yourself ("A kernel of your own" in the layer\'s README.md)'
)


def refusal(*, iptables: str, layers: Collection[str], data_device: str, features: Collection[str]) -> str | None:
    """Why no such image can be built, and what to do; None if it can."""
    if iptables not in BACKENDS:
        return f'CAMFW_IPTABLES = "{iptables}" is none of {" and ".join(BACKENDS)}'
    if iptables == "nft" and "networking-layer" not in layers:
        return ('CAMFW_IPTABLES = "nft" needs libnftnl of meta-networking (networking-layer), which is not in BBLAYERS; '
                'add it with meta-oe and meta-python, or take "legacy"')
    if data_device and "systemd" in features:
        return ("CAMFW_DATA_DEVICE is for sysvinit; with systemd leave it out, and write mount units "
                '("A read-only root" in the layer\'s README.md)')
    return None
