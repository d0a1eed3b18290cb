"""The test bed: stock Debian kernels in QEMU, the test-suite as root inside (docs/testing.md, ADR 009)."""
