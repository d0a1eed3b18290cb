"""hostd as the unit vz-hostd.service of a host with systemd: containers outlive it, and cgroups are delegated."""

from tests.vm.host import Host

TEMPLATE = """mkdir -p /var/lib/vz/template/cache
ln -sf /var/cache/vzhost/images/busybox-x86_64.tar.zst /var/lib/vz/template/cache/busybox.tar.zst"""


def uptime_clock(host: Host) -> str:
    """Start time of the container's PID 1: another one after a restart, and only then."""
    return host.run("vzctl exec2 101 cat /proc/1/stat").stdout.rpartition(")")[2].split()[19]


def test_containers_outlive_every_end_of_the_unit(systemd_host: Host) -> None:
    host = systemd_host
    host.run(TEMPLATE)
    host.run("systemctl start vz-hostd")
    assert host.run("systemctl is-active vz-hostd").stdout == "active\n"
    host.run("vzctl create 101 --ostemplate busybox && vzctl set 101 --ram 64M --save && vzctl start 101")
    started = uptime_clock(host)
    for verb in ("restart", "reload", "stop"):
        host.run(f"systemctl {verb} vz-hostd")
        assert "exist mounted running" in host.run("vzctl status 101").stdout
        assert uptime_clock(host) == started, verb
    host.run("hostd --stop; systemctl start vz-hostd")
    assert uptime_clock(host) == started
    limits = host.run("cat /sys/fs/cgroup/vz/101/memory.max").stdout
    assert limits == f"{64 << 20}\n"
    host.run("vzctl stop 101 && vzctl destroy 101 && systemctl stop vz-hostd")
    assert host.run("systemctl --failed --no-legend").stdout == ""


def test_containers_go_down_and_come_up_with_the_host(systemd_host: Host) -> None:
    host = systemd_host
    host.run(TEMPLATE)
    host.run("vzctl create 102 --ostemplate busybox && vzctl set 102 --onboot yes --save")
    host.run("systemctl start vz && systemctl is-active vz-hostd")
    assert "exist mounted running" in host.run("vzctl status 102").stdout
    host.run("vzctl exec2 102 touch /run/alive && systemctl stop vz")
    assert "exist unmounted down suspended" in host.run("vzctl status 102").stdout
    host.run("systemctl start vz && vzctl exec2 102 test -e /run/alive")
    host.run("vzctl stop 102 && vzctl destroy 102 && systemctl stop vz vz-hostd")
    assert host.run("systemctl --failed --no-legend").stdout == ""
