"""Tests of the proof against the kernel: what is predicted of generated packets
is what becomes of them in network namespaces."""
