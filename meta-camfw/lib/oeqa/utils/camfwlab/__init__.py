"""Hosts made of frames around the emulated router, for testimage.

    facts      what a host, a flow and a service's port are
    example    what examples/camera-router.toml allows, written by hand
    frames     Ethernet, ARP, IPv4, ICMP, UDP, TCP: made and read
    wire       a host at the far end of a network card of QEMU's
    record     what `camfw blocked` is to name of what a host tried
    upload     an FTP upload made of frames
    smtp       a mail server for what the router sends
    router     the router under test: SSH, console, and the hosts at its cards

tests/lab of camfw's repository has all but the last three by links.
"""
