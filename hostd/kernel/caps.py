"""Capabilities by name and number, and what a container's PID 1 loses."""

NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
"""In the order of linux/capability.h: the index is the number."""

NUMBERS = {name: number for number, name in enumerate(NAMES)}


def number(name: str) -> int:
    """The number of a capability, written `sys_time`, `SYS_TIME` or `CAP_SYS_TIME`; ValueError for others."""
    plain = name.lower().removeprefix("cap_")
    if plain not in NUMBERS:
        raise ValueError(f"unknown capability {name!r}")
    return NUMBERS[plain]


def numbers(*names: str) -> tuple[int, ...]:
    return tuple(number(name) for name in names)


def bits(mask: str) -> frozenset[int]:
    """The numbers set in a hexadecimal mask, as /proc/PID/status writes them."""
    value = int(mask, 16)
    return frozenset(bit for bit in range(value.bit_length()) if value >> bit & 1)


# In a user namespace these give nothing (the kernel asks for them in the initial one): dropping them shrinks
# what a kernel bug can reach, and tells systemd which units to skip.
DEFAULT_DROP = numbers(
    "sys_module", "sys_rawio", "sys_time", "mac_override", "mac_admin", "syslog", "wake_alarm",
    "block_suspend", "perfmon", "bpf",
)  # fmt: skip

# Privileged: these would be the host's own.  mknod opens any disk, dac_read_search any file by handle,
# sys_resource ignores disk quota; sys_admin must stay, or no distribution boots.
PRIVILEGED_DROP = DEFAULT_DROP + numbers(
    "mknod", "dac_read_search", "sys_resource", "sys_pacct", "audit_control", "audit_read",
)  # fmt: skip
