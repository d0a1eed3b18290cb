"""Which mounts in a container are of the server of /proc files."""

from pathlib import Path

from hostd.container import views
from hostd.container.views import stale

OURS = "fuse.vzviews vzviews ro,user_id=0"


def found(tmp_path: Path, *lines: str) -> dict[str, str]:
    path = tmp_path / "mountinfo"
    path.write_text("".join(f"{line}\n" for line in lines))
    return stale(str(path))


def test_the_files_and_their_copies(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        "30 1 0:40 / / rw - overlay vz rw",
        f"31 30 0:44 /meminfo /proc/meminfo ro - {OURS}",
        f"32 30 0:44 /online /sys/devices/system/cpu/online ro shared:3 - {OURS}",
        f"33 30 0:44 /stat /mnt/a\\040b/stat ro - {OURS}",
        f"34 30 0:44 / /mnt/all ro - {OURS}",
    ) == {
        "/proc/meminfo": "/proc/meminfo",
        "/sys/devices/system/cpu/online": "/sys/devices/system/cpu/online",
        "/mnt/a b/stat": "/proc/stat",
    }


def test_a_whole_proc_and_what_is_mounted_in_it(tmp_path: Path) -> None:
    for name in ("openvz-101", "openvz"):  # its own, or that of all that an earlier daemon gave it
        assert found(
            tmp_path,
            f"31 30 0:44 /{name} /proc ro - {OURS}",
            "32 31 0:50 / /proc/.vz rw - proc proc rw",
            f"33 30 0:44 /online /sys/devices/system/cpu/online ro - {OURS}",
            f"34 30 0:44 /{name}/vz /mnt/vz ro - {OURS}",
            f"35 30 0:44 /{name}/meminfo /mnt/meminfo ro - {OURS}",
        ) == {"/proc": "/proc", "/sys/devices/system/cpu/online": "/sys/devices/system/cpu/online"}


def test_the_processors_and_what_is_mounted_in_them(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        f"31 30 0:44 /cpu-101 /sys/devices/system/cpu ro - {OURS}",
        "32 31 0:22 /devices/system/cpu /sys/devices/system/cpu/.vz ro - sysfs sysfs rw",
        f"33 30 0:44 /cpu-101/online /mnt/online ro - {OURS}",
    ) == {"/sys/devices/system/cpu": "/sys/devices/system/cpu"}


def test_what_is_under_something_else_stays(tmp_path: Path) -> None:
    mine = f"31 30 0:44 /meminfo /proc/meminfo ro - {OURS}"
    over = "32 31 0:40 /x /proc/meminfo rw - overlay vz rw"
    other = "33 30 0:45 /meminfo /proc/meminfo ro - fuse.vzviews2 x rw"
    assert found(tmp_path, mine, over) == {}
    assert found(tmp_path, other) == {}
    assert found(tmp_path, over, mine) == {"/proc/meminfo": "/proc/meminfo"}


def test_there_is_an_end_to_copies(tmp_path: Path) -> None:
    lines = [f"{number} 30 0:44 /stat /mnt/{number} ro - {OURS}" for number in range(1000)]
    assert len(found(tmp_path, *lines)) == views.MOST_PLACES
