"""What a container's /etc/resolv.conf says."""

from collections.abc import Sequence

INHERIT = "inherit"  # value of NAMESERVER and SEARCHDOMAIN: as the host has it


def text(
    nameservers: Sequence[str], searchdomains: Sequence[str], host_file: str = "/etc/resolv.conf"
) -> str | None:
    """`resolv_conf` with the host's own file, which is read only when something is inherited from it."""
    host = ""
    if INHERIT in (*nameservers, *searchdomains):
        try:
            with open(host_file, encoding="utf-8", errors="replace") as file:
                host = file.read()
        except FileNotFoundError:
            pass  # a host without resolvers has none to give
    return resolv_conf(nameservers, searchdomains, host)


def resolv_conf(nameservers: Sequence[str], searchdomains: Sequence[str], host: str = "") -> str | None:
    """Pure: the text of resolv.conf; None when nothing was asked for and the container's own file is to stay.

    *host* is the text of the host's resolv.conf, for `inherit`.  The host's loopback resolvers (127.0.0.0/8,
    ::1, as systemd-resolved has) mean nothing inside and are left out.
    """
    servers = _inherited(nameservers, [s for s in _values(host, "nameserver") if not _loopback(s)])
    domains = _inherited(searchdomains, _domains(host))
    if not servers and not domains:
        return None
    lines = [f"search {' '.join(domains)}"] if domains else []
    return "".join(f"{line}\n" for line in [*lines, *(f"nameserver {server}" for server in servers)])


def _inherited(wanted: Sequence[str], hosts: Sequence[str]) -> list[str]:
    """*wanted* with `inherit` replaced by what the host has; each value once, in order."""
    values = [v for word in wanted for v in (hosts if word == INHERIT else [word])]
    return list(dict.fromkeys(values))


def _values(text: str, keyword: str) -> list[str]:
    rows = [line.split() for line in text.splitlines()]
    return [row[1] for row in rows if len(row) > 1 and row[0] == keyword]


def _domains(text: str) -> list[str]:
    """The search list: the last `search` or `domain` line counts (resolv.conf(5)); "." means none."""
    rows = [line.split() for line in text.splitlines()]
    lists = [row[1:] for row in rows if row and row[0] in ("search", "domain")]
    return [domain for domain in lists[-1] if domain != "."] if lists else []


def _loopback(server: str) -> bool:
    return server.startswith("127.") or server == "::1"
