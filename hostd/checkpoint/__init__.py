"""Checkpoint and restore of a running container with CRIU: docs/adr/005-criu.md tells the order and the
reasons.

The daemon calls `precheck.reasons`, `dump.dump`, `restore.restore` and, after a crash, `state.inspect`.
Everything that touches mounts or waits for CRIU runs in a helper process of its own (`stage`), which
outlives the daemon.
"""
