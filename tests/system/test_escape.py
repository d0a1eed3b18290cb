"""The escape battery: what root of a default container tries, and that it stays inside.  docs/security.md lists it.

One Debian container for all (it has Perl, for bare system calls); the host is compared before and after.
"""

import os
import re
from collections.abc import Iterator

import pytest

from tests.harness import machine
from tests.harness.escape import Guest, host_state
from tests.harness.installation import Vz
from tests.harness.needs import needs

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("escape"), needs("userns", "seccomp", "device-filter")]

INOTIFY_INIT1 = {"x86_64": 294, "aarch64": 26}.get(os.uname().machine)
RAM, PROCESSES = 192, 150  # MiB; a number
DENIED = "Permission denied|Operation not permitted|Read-only file system|permission denied"


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    yield from kept_in()


def kept_in(*settings: str) -> Iterator[Guest]:
    """A container with these *settings*; in the end the host is as it was."""
    vz = Vz()
    before = host_state()
    limits = ("--ram", f"{RAM}M", "--swap", "0", "--numproc", str(PROCESSES))
    vz.create(101, "--diskspace", "64M", "--diskinodes", "4000", template="debian-12")
    vz.ctl("set", "101", *limits, *settings, "--save")
    vz.ctl("start", "101")
    yield Guest(vz, 101)
    changed = {key: (value, host_state().get(key)) for key, value in before.items() if host_state().get(key) != value}
    left = vz.remove()
    assert not changed, f"the host is not as it was: {changed}"
    assert not left, left


# Each must fail, and say one of these words.
REFUSED = {
    "01-core-pattern": ("echo '|/x' > /proc/sys/kernel/core_pattern", DENIED),
    "03-release-agent": ("mount -t cgroup -o memory c /mnt && echo /x > /mnt/release_agent", ""),
    "04-release-agent-in-a-new-userns": (
        "unshare -UrmC sh -c 'mount -t cgroup -o rdma c /mnt && [ $(stat -fc %T /mnt) = cgroupfs ] &&"
        " echo /x > /mnt/release_agent'",
        "",
    ),
    "05-named-hierarchy": ("mount -t cgroup -o none,name=foo c /mnt", DENIED),
    "06-host-disk": ("mknod /tmp/d b 254 0 && head -c1 /tmp/d", DENIED),
    "07-memory-device": ("mknod /tmp/m c 1 1 && head -c1 /tmp/m", DENIED),
    "08-mount-disk": ("mount -t ext4 /dev/vda /mnt || mount -t ext4 /dev/loop0 /mnt", ""),
    "13-kernel-memory": ("head -c16 /proc/kcore || head -c1 /dev/mem || head -c1 /dev/kmem", ""),
    "13-kernel-addresses": ("grep -qv ^0000 /proc/kallsyms", ""),
    "14-dmesg": ("dmesg || head -c1 /proc/kmsg", DENIED),
    "15-vm-sysctl": ("echo 1 > /proc/sys/vm/drop_caches", DENIED),
    "15-irq": ("for f in /proc/irq/*/smp_affinity; do cat $f > $f && exit 0; done; exit 1", ""),
    "16-uevent-helper": ("echo /x > /sys/kernel/uevent_helper", f"{DENIED}|Directory nonexistent|cannot create"),
    "17-sysfs-writes": ("find /sys/module /sys/block /sys/power /sys/kernel -writable -not -type l | grep .", ""),
    "35-cgroup-move": ("echo $$ > /sys/fs/cgroup/../cgroup.procs; echo $$ > /sys/fs/cgroup/../../cgroup.procs", ""),
    "36-own-image": ("for n in 0 1 2 3; do mknod /tmp/l$n b 7 $n && head -c1 /tmp/l$n && exit 0; done; exit 1", DENIED),
    "38-open-files": ("ulimit -Hn 10000000", DENIED),
    "38-priority": ("nice -n -20 true 2>&1 | grep -q cannot && exit 1; exit 0", ""),
    "39-timers": ("cat /proc/timer_list /proc/sched_debug 2>/dev/null | grep .", ""),
    "39-slabs": ("cat /proc/slabinfo", f"{DENIED}|No such file"),
    "39-keys": ("grep -v ' _ses: ' /proc/keys", ""),  # but the session keyring of its own
}


@pytest.mark.parametrize("item", REFUSED)
def test_refused(guest: Guest, item: str) -> None:
    script, words = REFUSED[item]
    done = guest.sh(script)
    assert done.code != 0, done
    assert re.search(words, done.stderr + done.stdout), done


def test_02_sysrq(guest: Guest) -> None:
    if not os.path.exists("/proc/sysrq-trigger"):
        pytest.skip("this kernel has no sysrq")
    done = guest.sh("echo h > /proc/sysrq-trigger")
    assert done.code != 0 and re.search(DENIED, done.stderr), done


@pytest.mark.parametrize("fstype", ["devtmpfs", "debugfs", "tracefs", "securityfs", "configfs", "pstore"])
def test_09_file_systems_of_the_host(guest: Guest, fstype: str) -> None:
    assert guest.sh(f"mount -t {fstype} x /mnt").code != 0


@pytest.mark.parametrize(
    ("item", "call", "arguments", "wanted"),
    [
        (10, "open_by_handle_at", ("3", "$b", "0"), "EPERM"),
        (11, "kexec_load", ("0", "0", "0", "0"), "EPERM"),
        (11, "kexec_file_load", ("0", "0", "0", "$b", "0"), "EPERM"),
        (12, "init_module", ("$b", "0", "$b"), "EPERM"),
        (12, "finit_module", ("0", "$b", "0"), "EPERM"),
        (12, "delete_module", ("$b", "0"), "EPERM"),
        (22, "bpf", ("5", "$b", "120"), "EPERM"),
        (23, "perf_event_open", ("$b", "0", "-1", "-1", "0"), "EPERM"),
        (23, "io_uring_setup", ("1", "$b"), "EPERM"),
        (24, "userfaultfd", ("1",), "EPERM"),
        (25, "keyctl", ("0", "-3", "0"), "ENOSYS"),
        (25, "add_key", ("$b", "$b", "$b", "1", "-3"), "ENOSYS"),
        (25, "request_key", ("$b", "$b", "0", "-3"), "ENOSYS"),
        (26, "settimeofday", ("$b", "0"), "EPERM"),
        (26, "clock_settime", ("0", "$b"), "EPERM"),
        (27, "swapon", ("$b", "0"), "EPERM"),
        (27, "swapoff", ("$b",), "EPERM"),
        (27, "acct", ("$b",), "EPERM"),
        (27, "iopl", ("3",), "EPERM"),
        (27, "quotactl", ("0", "$b", "0", "$b"), "EPERM"),
        (40, "fanotify_init", ("0", "0"), "EPERM"),
    ],
)
def test_system_calls(guest: Guest, item: int, call: str, arguments: tuple[str, ...], wanted: str) -> None:
    found = guest.syscall(call, *arguments)
    if found is None:
        pytest.skip(f"item {item}: this machine has no {call}")
    assert found == wanted


AF_INET, AF_NETLINK, AF_ALG, AF_VSOCK = 2, 16, 38, 40


@pytest.mark.parametrize(
    ("item", "family", "kind", "protocol", "wanted"),
    [
        ("20-vsock", AF_VSOCK, 1, 0, "EAFNOSUPPORT"),
        ("21-audit", AF_NETLINK, 3, 9, "EAFNOSUPPORT"),
        ("21-alg", AF_ALG, 5, 0, "EAFNOSUPPORT"),
        ("21-route-is-allowed", AF_NETLINK, 3, 0, ""),
        ("21-inet-is-allowed", AF_INET, 1, 0, ""),
    ],
)
def test_sockets(guest: Guest, item: str, family: int, kind: int, protocol: int, wanted: str) -> None:
    assert guest.socket(family, kind, protocol) == wanted, item


def test_18_binfmt_is_the_containers_own(guest: Guest) -> None:
    """Since Linux 6.7 a user namespace has handlers of its own; before, the mount fails."""
    handler = ":own:M::VZ::/bin/true:"
    guest.sh(f"mount -t binfmt_misc b /mnt && echo '{handler}' > /mnt/register; umount /mnt")
    assert not os.path.exists("/proc/sys/fs/binfmt_misc/own")


def test_19_processes_of_the_host(guest: Guest) -> None:
    vz = guest.vz
    assert guest.sh(f"kill -0 {vz.keeper_pid} || kill -0 {vz.daemon_pid}").code != 0
    seen = guest.sh("cat /proc/[0-9]*/comm").stdout.split()
    assert seen and "hostd" not in seen
    assert guest.sh("[ /proc/1/root/. -ef /. ]").code == 0


def test_28_masks_are_no_boundary_but_the_kernel_is(guest: Guest) -> None:
    """Root may take the read-only masks away: what they cover is still refused to him."""
    done = guest.sh(
        """unshare -m sh -c '
        mount -o remount,bind,rw /proc/sys; umount -l /proc/sys; mount -t proc p /mnt
        mount -o remount,bind,rw /sys; mount -o remount,bind,rw /.vz
        for f in /proc/sys/kernel/core_pattern /mnt/sys/kernel/core_pattern /mnt/sys/vm/drop_caches \
                 /sys/kernel/uevent_helper /.vz/new; do
            (echo 1 > $f) 2>/dev/null && echo "$f was written"
        done; true'"""
    )
    assert (done.code, done.stdout) == (0, ""), done


def test_29_nested_overlay_gives_nothing_of_the_host(guest: Guest) -> None:
    """Allowed (a feature); a device node or set-user-id file made in it means nothing outside."""
    done = guest.sh(
        """unshare -m sh -c 'mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m &&
        mount -t overlay o -o lowerdir=/usr/bin,upperdir=/mnt/u,workdir=/mnt/w /mnt/m &&
        mknod /mnt/m/disk b 254 0'"""
    )
    assert done.code != 0 and re.search(DENIED, done.stderr), done


@pytest.mark.parametrize("file", ["memory.limit_in_bytes", "memory.max", "pids.max", "cpu.max", "devices.allow"])
def test_34_own_limits(guest: Guest, file: str) -> None:
    """In the cgroup2 tree, and in any v1 hierarchy that root mounts."""
    controller = file.partition(".")[0]
    done = guest.sh(
        f"""unshare -m sh -c '
        mount -t cgroup -o {controller} c /mnt
        for f in /sys/fs/cgroup/{file} /mnt/{file}; do
            for v in -1 max a; do [ -e $f ] && echo $v > $f && echo "$f raised"; done
        done; true'"""
    )
    assert (done.code, done.stdout) == (0, ""), done


# 37: a limit holds, and its container goes on afterwards.


def test_37_fork_bomb(guest: Guest) -> None:
    done = guest.perl(
        f"for (1..{2 * PROCESSES}) {{ my $p = fork; last unless defined $p; if (!$p) {{ sleep 60; exit }} $n++ }}"
        " print $n; kill 9, -getpgrp if $n < 0; kill 'KILL', grep { $_ > 1 && $_ != $$ } map { m,/proc/(\\d+),; $1 }"
        " grep { open F, \"$_/comm\"; <F> =~ /perl/ } glob '/proc/[0-9]*'"
    )
    assert 0 < int(done) < PROCESSES
    assert guest.sh("true").code == 0


def test_37_memory_hog(guest: Guest) -> None:
    done = guest.sh(f"perl -e '$x = \"x\" x ({2 * RAM} << 20); print 1'")
    assert done.code != 0 and "1" not in done.stdout
    assert guest.sh("true").code == 0


def test_37_disk_and_inodes(guest: Guest) -> None:
    done = guest.sh("head -c 100M /dev/zero > /full; rm /full; exit 0")
    assert "No space left on device" in done.stderr
    done = guest.sh("mkdir /many && cd /many && perl -e 'for (1..9999) { open F, q(>), $_ or print $_ and last }'")
    assert 0 < int(done.stdout) <= 4000
    assert guest.sh("rm -r /many").code == 0


def test_37_watches_are_counted_by_container(guest: Guest) -> None:
    """inotify instances are limited by user and user namespace: the host keeps its own."""
    opened = guest.sh(f"ulimit -n 5000; perl -e '1 while syscall({INOTIFY_INIT1}, 0) >= 0 && ++$n; print $n'").stdout
    assert 0 < int(opened) <= int(machine.read("/proc/sys/fs/inotify/max_user_instances"))
