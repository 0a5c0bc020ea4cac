"""Hosts made of frames around the emulated router, for testimage.

    facts      what a host, a flow and a service's port are
    example    what examples/camera-router.toml allows, written by hand
    frames     Ethernet, ARP, IPv4, ICMP, UDP, TCP: made and read
    wire       a host at the far end of a network card of QEMU's

tests/lab of camfw's repository has these four by links, and needs nothing else of them.
"""
