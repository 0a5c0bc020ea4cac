"""A laboratory of network namespaces for a router and the three hosts around it.

Real kernel, real servers, real clients; nothing outside the namespaces it makes.

    namespace   a network namespace: enter it, run commands in it, delete it
    facts       what a host, a flow and a service's port are
    hosts       the three hosts, each in a namespace, and how each is wired
    router      a router that is a namespace (the netns tests)
    services    the servers behind the probes
    stations    one set of all those servers, on one host
    probes      the clients: each says whether it got through, and what it saw
    capture     tcpdump, counting what arrives
    losses      the packets of a flow that did not arrive, exactly
    frames      Ethernet frames, made and read by hand
    wire        a host made of frames, at an emulated network card
    dhcp        a DHCP server on a host's network
    wireguard   the other end of a WireGuard tunnel
    traffic     hosts that send without pause, and spoofed packets
    table       who reached whom, beside what the policy says
    example     the addresses of the example configuration, and its policy

Only router.py makes a router; all else knows nothing of what it is, which may
as well be an emulated machine (hosts.Host.tap).
facts, frames, wire and example are the layer's own, since testimage has them
where there is no checkout: links to meta-camfw/lib/oeqa/utils/camfwlab.
`tests/lab/install` installs what the laboratory needs; it runs as root.
"""
