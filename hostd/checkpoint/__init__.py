"""Checkpoint and restore of a running container with CRIU: docs/adr/005-criu.md tells the order and the
reasons.

The daemon calls `dump.check`, `dump.dump`, `restore.restore` and, after a crash, `state.settled`.
Everything that touches mounts or waits for CRIU runs in a thread of its own (`aside`); CRIU outlives the daemon.
"""
