"""Which process sat in which sub-cgroup that the guest made: saved before a dump, put back by a restore.  The cgroups
are there before CRIU begins, as it opens the files in them that a guest's systemd watches; the processes move before
the first resumes.

With `--manage-cgroups=ignore` all restored tasks are in the container's own cgroup, and a guest's systemd
would find its services gone.  Processes are known by their number inside, which a restore keeps.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

INIT = 1
_V2 = "cgroup.controllers"  # a file that cgroups of v2 have, and none of v1
# What whoever gets a cgroup gets of it: cgroup-v2.rst, "Model of Delegation", and what systemd adds.
_DELEGATED = (
    "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.pressure",
    "memory.reclaim",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """A cgroup below the container's own; ids are the container's.  *control* is its cgroup.subtree_control.
    """

    path: str  # relative, "" is the container's own
    tasks: list[int]
    uid: int
    gid: int
    control: str = ""


def pids(directory: str) -> list[int]:
    """Every process in the cgroup *directory* and below it, as the host numbers them."""
    found: list[int] = []
    for path in _walk(directory):
        found += _procs(path)
    return found


def save(cgroups: Mapping[str, str], uid_base: int) -> dict[str, list[Group]]:
    """The sub-cgroups of every hierarchy of v2 in *cgroups* (name -> the container's directory), parents first: a guest
    may have none of v1.
    """
    v2 = {name: directory for name, directory in cgroups.items() if _is_v2(directory)}
    return {name: groups for name, directory in v2.items() if (groups := _groups(directory, uid_base))}


def without_v1(cgroups: Mapping[str, str], saved: Mapping[str, list[Group]]) -> dict[str, list[Group]]:
    """*saved* but for hierarchies of v1, where guests had cgroups with an earlier hostd."""
    return {name: groups for name, groups in saved.items() if name not in cgroups or _is_v2(cgroups[name])}


def make(cgroups: Mapping[str, str], saved: Mapping[str, list[Group]], uid_base: int) -> None:
    """The saved cgroups, empty; without those of a hierarchy that this host has not.  Raises OSError."""
    for name, groups in saved.items():
        for group in groups if name in cgroups else ():
            _make(_place(cgroups[name], group), group, uid_base)


def make_room(cgroups: Mapping[str, str], saved: Mapping[str, list[Group]]) -> list[str]:
    """Hand controllers down as the guest had done, so that their files are there when CRIU opens those that somebody
    watches.  v2 does so only where no process is: who is in the container's own cgroup goes to where its PID 1 was.

    Answers what could not be done.
    """
    failed: list[str] = []
    for name, groups in saved.items():
        if name not in cgroups or not any(group.control for group in groups):
            continue
        first = next((group for group in groups if INIT in group.tasks), None)
        if first is not None and first.path:
            place = _place(cgroups[name], first)
            failed += _write(f"{place}/cgroup.procs", map(str, _procs(cgroups[name])))
        for group in groups:
            failed += _hand_down(_place(cgroups[name], group), group)
    return failed


def load(cgroups: Mapping[str, str], saved: Mapping[str, list[Group]]) -> list[str]:
    """Move the tasks back to where they were, which `make` has made.  Answers what could not be done."""
    failed: list[str] = []
    for name, groups in saved.items():
        if name not in cgroups:
            failed.append(f"this host has no cgroup hierarchy {name!r}")
            continue
        host = {inside: pid for pid in pids(cgroups[name]) if (inside := inside_number(pid))}
        for group in groups:
            failed += _move(_place(cgroups[name], group), group, host)
        for group in groups:  # v2 hands controllers down only once no process is left above
            failed += _hand_down(_place(cgroups[name], group), group)
    return failed


def inside_number(pid: int) -> int:
    """The number of *pid* in its own pid namespace; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next(int(line.split()[-1]) for line in file if line.startswith("NSpid:"))
    except (OSError, StopIteration):
        return 0


def _is_v2(directory: str) -> bool:
    return os.path.exists(f"{directory}/{_V2}")


def _groups(directory: str, uid_base: int) -> list[Group]:
    found = [_group(directory, path, uid_base) for path in _walk(directory)]
    return found if len(found) > 1 else []


def _group(directory: str, path: str, uid_base: int) -> Group:
    status = os.stat(path)
    return Group(
        path[len(directory) :].strip("/"),
        [inside for pid in _procs(path) if (inside := inside_number(pid))] if path != directory else [],
        max(status.st_uid - uid_base, 0),
        max(status.st_gid - uid_base, 0),
        _read(f"{path}/cgroup.subtree_control").strip(),
    )


def _place(directory: str, group: Group) -> str:
    return f"{directory}/{group.path}".rstrip("/")


def _make(path: str, group: Group, uid_base: int) -> None:
    if os.path.isdir(path):
        return
    os.mkdir(path, 0o755)
    os.chown(path, uid_base + group.uid, uid_base + group.gid)
    for name in os.listdir(path):  # root inside made it, or else somebody to whom all of it belongs
        delegated = name in _DELEGATED
        os.chown(f"{path}/{name}", uid_base + delegated * group.uid, uid_base + delegated * group.gid)


def _move(path: str, group: Group, host: Mapping[int, int]) -> list[str]:
    return list(_write(f"{path}/cgroup.procs", (str(host[task]) for task in group.tasks if task in host)))


def _hand_down(path: str, group: Group) -> list[str]:
    wanted = (f"+{controller}" for controller in group.control.split())
    return list(_write(f"{path}/cgroup.subtree_control", wanted))


def _walk(directory: str) -> Iterator[str]:
    for path, below, _ in os.walk(directory):
        below.sort()
        yield path


def _procs(path: str) -> list[int]:
    return [int(pid) for pid in _read(f"{path}/cgroup.procs").split() if pid != "0"]


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            yield f"{path}: {text}: {error.strerror}"
