"""What each numbered step of the C code is, in words: the other half of `enum vz_step` in shim.h."""

from typing import NamedTuple

from hostd.kernel.facade import step_numbers


class Step(NamedTuple):
    syscall: str
    what: str
    of: str = ""  # the list of the plan that the index counts in: "join", "mounts", "fds" or "drop"


_BY_NAME = {
    "NONE": Step("clone3", "nothing"),
    "STACK": Step("mmap", "make a stack for the child"),
    "GATE": Step("pipe2", "make the gate that the child waits at"),
    "CLONE": Step("clone3", "make the process and its namespaces"),
    "UID_MAP": Step("write", "map the user ids"),
    "GID_MAP": Step("write", "map the group ids"),
    "JOIN": Step("write", "join the cgroup", "join"),
    "CGROUP_NS": Step("unshare", "make the cgroup namespace"),
    "TIME_NS": Step("unshare", "make the time namespace"),
    "CLOCKS": Step("write", "set the clocks of the time namespace"),
    "WAIT": Step("read", "wait for the id maps"),
    "SETGID": Step("setresgid", "become group 0 of the container"),
    "SETUID": Step("setresuid", "become user 0 of the container"),
    "SETGROUPS": Step("setgroups", "leave the supplementary groups"),
    "PRIVATE": Step("mount", "make the mounts private"),
    "ROOT": Step("move_mount", "attach the root"),
    "CHDIR": Step("chdir", "enter the root"),
    "TARGET": Step("openat2", "find the mount point", "mounts"),
    "ATTACH": Step("move_mount", "attach the mount", "mounts"),
    "FSOPEN": Step("fsopen", "open the file system", "mounts"),
    "FSCONFIG": Step("fsconfig", "set the options of the file system", "mounts"),
    "CREATE": Step("fsconfig", "create the file system", "mounts"),
    "FSMOUNT": Step("fsmount", "mount the file system", "mounts"),
    "BIND": Step("open_tree", "bind the path", "mounts"),
    "SETATTR": Step("mount_setattr", "change the attributes of the bind", "mounts"),
    "LET_GO": Step("umount2", "let go of the mount of a bound file", "mounts"),
    "PIVOT": Step("pivot_root", "make the root the root"),
    "DETACH": Step("umount2", "leave the old root"),
    "HOSTNAME": Step("sethostname", "set the host name"),
    "SETSID": Step("setsid", "become a session leader"),
    "KEYRING": Step("keyctl", "leave the session keyring of the host"),
    "NULL": Step("open", "open /dev/null of the container"),
    "MOVE_FD": Step("fcntl", "set a descriptor aside", "fds"),
    "PLACE_FD": Step("dup3", "place a descriptor", "fds"),
    "CLOSE": Step("close_range", "close the other descriptors", "fds"),
    "BOUNDING": Step("prctl", "drop from the bounding set the capability", "drop"),
    "SECCOMP": Step("seccomp", "install the system call filter"),
    "CAPS": Step("capset", "drop the capabilities"),
    "EXEC": Step("execve", "execute the first program"),
}

STEPS = {number: _BY_NAME[name] for name, number in step_numbers().items()}
