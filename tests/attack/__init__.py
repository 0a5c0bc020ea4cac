"""The red team: hostile frames, by hand, from every side of a router with camfw on it.

    tests/attack/run                                          as many as you like
    python3 -m unittest discover -s tests/attack -t tests     a bounded part, and the suite's own test

as root, from the root of the repository; `tests/lab/install` installs what it needs.

    forge        packets with each field as the sender likes, and the marker in them
    dissect      a frame that was sent, as the oracle reads it
    policy       the configuration, as the oracle reads it
    oracle       where a frame may arrive, by that policy and the connections that are open
    scenarios    policies, who is around the router, what is open between them
    stage        the router and its wires: sends, and notes where each marker arrives
    shots        a shot, and the side that it comes from
    generate_*   the kinds of shots
    campaign     a scenario attacked from each side in each family, counted
    routers      routers that are not camfw's, by which the suite shows that it sees

What a shot's own zone gets back is not counted: who is on a wire reaches its neighbours
without the router. ARP and neighbour discovery are outside of the promise, recorded and
not judged.
"""
