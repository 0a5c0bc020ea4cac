"""A laboratory of network namespaces for a router and the three hosts around it.

Real kernel, real servers, real clients; nothing outside the namespaces it makes.

    namespace   a network namespace: enter it, run commands in it, delete it
    hosts       the three hosts, each in a namespace, and how each is wired
    router      a router that is a namespace (the netns tests)
    services    the servers behind the probes
    stations    one set of all those servers, on one host
    probes      the clients: each says whether it got through, and what it saw
    capture     tcpdump, counting what arrives
    losses      the packets of a flow that did not arrive, exactly
    frames      Ethernet frames, made and read by hand
    wire        a host made of frames, at an emulated network card
    traffic     hosts that send without pause, and spoofed packets
    table       who reached whom, beside what the policy says
    example     the addresses of the example configuration, and its policy

Only router.py makes a router; all else knows nothing of what it is, which may
as well be an emulated machine (hosts.Host.tap).
`tests/lab/install` installs what the laboratory needs; it runs as root.
"""
