"""Small pure parts behind systemctl and the journal: names, patterns, addresses, lines of syslog."""

import _socket
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vzinit.listen import where
from vzinit.logs import from_native, from_syslog
from vzinit.unit_names import matches, name_of, path_of

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=30)


@given(NAMES)
def test_the_object_of_a_unit_tells_its_name(name: str) -> None:
    path = path_of(name)
    assert name_of(path) == name
    assert all(letter.isascii() and (letter.isalnum() or letter in "_/") for letter in path)


@pytest.mark.parametrize(
    ("name", "path"),
    [("ssh.service", "ssh_2eservice"), ("-.mount", "_2d_2emount"), ("3proxy.service", "_33proxy_2eservice"),
     ("postgresql@15-main.service", "postgresql_4015_2dmain_2eservice")],
)  # fmt: skip
def test_as_systemd_writes_it(name: str, path: str) -> None:
    assert path_of(name) == f"/org/freedesktop/systemd1/unit/{path}"


def test_other_objects_are_no_units() -> None:
    with pytest.raises(ValueError):
        name_of("/org/freedesktop/systemd1")


@given(st.text("ab.-", max_size=8), st.text("ab.-*?", max_size=6))
def test_patterns(name: str, pattern: str) -> None:
    assert matches(name, pattern) == fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("address", "found"),
    [("/run/x.sock", (_socket.AF_UNIX, "/run/x.sock")), ("@mariadb", (_socket.AF_UNIX, b"\0mariadb")),
     ("700", (_socket.AF_INET6, ("::", 700))), ("127.0.0.1:80", (_socket.AF_INET, ("127.0.0.1", 80))),
     ("[::1]:80", (_socket.AF_INET6, ("::1", 80)))],
)  # fmt: skip
def test_where_a_socket_unit_listens(address: str, found: object) -> None:
    assert where(address) == found


@pytest.mark.parametrize(
    ("data", "found"),
    [(b"<38>Nov 28 12:00:00 sshd[123]: hello: you", (6, "sshd", b"hello: you")),
     (b"<13>Nov  8 12:00:00 root: x", (5, "root", b"x")), (b"<3>cron: y", (3, "cron", b"y")),
     (b"no priority", (5, "unknown", b"no priority")), (b"<>: z", (5, "unknown", b": z")), (b"", (5, "unknown", b"")),
     (b"<14>two words: text", (6, "unknown", b"two words: text"))],
)  # fmt: skip
def test_syslog(data: bytes, found: tuple[int, str, bytes]) -> None:
    assert from_syslog(data) == found


@given(st.binary(max_size=100))
def test_syslog_takes_anything(data: bytes) -> None:
    priority, ident, _ = from_syslog(data)
    assert 0 <= priority <= 7
    assert ident


def test_the_protocol_of_the_journal() -> None:
    blob = b"two\nlines"
    data = b"MESSAGE=hi\nBLOB\n" + len(blob).to_bytes(8, "little") + blob + b"\nPRIORITY=3\n"
    assert from_native(data) == [b"MESSAGE=hi", b"BLOB=two\nlines", b"PRIORITY=3"]


@given(st.binary(max_size=100))
def test_the_protocol_takes_anything(data: bytes) -> None:
    assert all(b"=" in field for field in from_native(data))
