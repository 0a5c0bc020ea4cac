"""camfw against a real kernel: namespaces, both iptables backends, real packets.

    python3 -m unittest discover -s tests/netns -t tests

as root, from the root of the repository; `tests/lab/install` installs what it
needs. CAMFW is the program, target/debug/camfw by default; `-k Legacy` and
`-k Nft` choose a backend. Nothing outside the test's own namespaces is changed.
"""
