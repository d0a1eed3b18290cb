"""Limits of IP sockets, as a process in a cgroup feels them: counted exactly, whatever becomes of a socket."""

import os
import socket
from collections.abc import Iterator

import pytest

from hostd.cgroup.tree import CtCgroup
from hostd.container import socket_limits
from hostd.container.record import Record
from hostd.container.socket_limits import NONE, SocketLimits
from hostd.errors import Failure
from hostd.kernel import bpf, descriptors, socket_programs
from hostd.kernel.fd import Fd
from hostd.kernel.socket_programs import CREATE, INCOMING, MARK, RELEASE, STATES, Maps
from tests.harness import machine
from tests.harness.needs import needs
from tests.harness.netns import Netns, run
from tests.harness.socket_agent import Agent

pytestmark = [pytest.mark.root, needs("unified", "socket-limits")]


@pytest.fixture
def agent(cgroup: CtCgroup) -> Iterator[Agent]:
    with Netns.entered():
        run("ip link set lo up")
        with Agent(cgroup) as agent:
            yield agent


@pytest.fixture
def record() -> Record:
    return Record(ctid=101)


def limit(cgroup: CtCgroup, tcp: int | None = None, other: int | None = None) -> None:
    socket_limits.put(cgroup, Record(ctid=101), SocketLimits(tcp, other))


def directory_of(cgroup: CtCgroup) -> Fd:
    directory = cgroup.unified()
    assert directory is not None
    return directory


def held(cgroup: CtCgroup) -> tuple[int, ...]:
    """By the programs."""
    with directory_of(cgroup) as directory:
        maps = Maps.at(directory)
        assert maps is not None
        return bpf.read_numbers(maps.counts, 4)[:2]


def failed(cgroup: CtCgroup) -> tuple[int, ...]:
    return tuple(socket_limits.failures(cgroup).values())


def attached(cgroup: CtCgroup) -> set[str]:
    hooks = (CREATE, INCOMING, MARK, RELEASE, STATES)
    with directory_of(cgroup) as directory:
        return {hook.name for hook in hooks if bpf.attached(hook, directory) is not None}


def test_at_the_limit_a_socket_is_refused_and_counted(cgroup: CtCgroup, agent: Agent) -> None:
    limit(cgroup, tcp=2, other=3)
    assert [agent.open(kind) for kind in ("tcp4", "tcp6", "udp4", "udp6", "raw4")] == [""] * 5
    assert held(cgroup) == (2, 3) and failed(cgroup) == (0, 0)
    assert [agent.open(kind, "more") for kind in ("tcp4", "tcp6", "udp6", "raw4")] == ["ENOBUFS"] * 4
    assert held(cgroup) == (2, 3) and failed(cgroup) == (2, 2)
    agent.close("tcp4", "udp6")
    assert held(cgroup) == (1, 2)
    assert [agent.open(kind, f"another {kind}") for kind in ("tcp6", "raw4")] == ["", ""]
    assert held(cgroup) == (2, 3) and failed(cgroup) == (2, 2)


def test_what_the_kernel_asks_no_program_about_is_not_limited(cgroup: CtCgroup, agent: Agent) -> None:
    limit(cgroup, tcp=0, other=0)
    assert [agent.open(kind) for kind in ("unix", "netlink", "packet")] == ["", "", ""]
    assert held(cgroup) == (0, 0) and agent.open("tcp4") == "ENOBUFS"


def test_a_neighbour_has_its_own_count(cgroup: CtCgroup, agent: Agent) -> None:
    neighbour = CtCgroup(cgroup.tree, 102)
    neighbour.create(None)
    try:
        limit(cgroup, tcp=0)
        limit(neighbour, tcp=1)
        with Agent(neighbour) as other:
            assert (agent.open("tcp4"), other.open("tcp4"), other.open("tcp4", "more")) == ("ENOBUFS", "", "ENOBUFS")
            assert failed(cgroup) == (1, 0) and failed(neighbour) == (1, 0)
    finally:
        neighbour.kill()
        neighbour.destroy()


def test_cgroups_inside_count_as_well(cgroup: CtCgroup, agent: Agent) -> None:
    """Older and newer ones; a socket counts until it is closed, though its cgroup is gone by then."""
    top = cgroup.paths()[-1]
    os.mkdir(f"{top}/older")
    agent.enter(f"{top}/older")
    assert agent.open("tcp4", "a") == ""
    limit(cgroup, tcp=3)
    assert agent.open("tcp4", "b") == ""
    os.mkdir(f"{top}/newer")
    agent.enter(f"{top}/newer")
    assert agent.open("tcp4", "c") == "" and agent.open("tcp4", "d") == "ENOBUFS"
    agent.enter(top)
    for name in ("older", "newer"):
        machine.until("nothing is in it", lambda path=f"{top}/{name}": removed(path))  # type: ignore[misc]
    assert held(cgroup) == (3, 0) and agent.open("tcp4", "d") == "ENOBUFS"
    agent.close("a", "b", "c")
    assert held(cgroup) == (0, 0)


def removed(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def test_connections_that_come_in_are_counted(cgroup: CtCgroup, agent: Agent) -> None:
    limit(cgroup, tcp=10)
    port = agent.listen("server")
    assert agent.open("tcp4") == agent.connect("tcp4", port) == agent.accept("server", "peer") == ""
    assert held(cgroup) == (3, 0)
    agent.close("peer")
    assert held(cgroup) == (2, 0)
    agent.close("tcp4", "server")
    assert held(cgroup) == (0, 0)


def test_at_the_limit_nobody_hears_who_comes_in(cgroup: CtCgroup, agent: Agent) -> None:
    """Who connects tries again, and is heard as soon as there is room."""
    limit(cgroup, tcp=4)
    port = agent.listen("server")
    for name in ("a", "b", "c"):
        assert agent.open("tcp4", name) == ""
    assert agent.connect("a", port, 300) == "ETIMEDOUT"
    assert held(cgroup) == (4, 0) and failed(cgroup)[0] > 0
    limit(cgroup, tcp=5)
    assert agent.connect("b", port) == "" and agent.accept("server", "peer") == ""
    assert held(cgroup) == (5, 0)


def test_connections_that_nobody_accepts_are_counted_off(cgroup: CtCgroup, agent: Agent) -> None:
    limit(cgroup, tcp=10)
    port = agent.listen("server")
    for name in ("a", "b"):
        assert agent.open("tcp4", name) == agent.connect(name, port) == ""
    assert held(cgroup) == (5, 0)
    agent.close("a")
    agent.close("server")
    machine.until("they are gone", lambda: held(cgroup) == (1, 0))
    agent.close("b")
    assert held(cgroup) == (0, 0)


def test_a_connection_that_is_cut_off_and_used_again_is_counted_again(cgroup: CtCgroup, agent: Agent) -> None:
    limit(cgroup, tcp=6)
    port = agent.listen("server")
    for name in ("a", "b", "c"):
        assert agent.open("tcp4", name) == ""
    for name in ("a", "b"):
        assert agent.connect(name, port) == agent.accept("server", f"to {name}") == agent.cut_off(f"to {name}") == ""
    assert held(cgroup) == (4, 0)  # the server, and those of socket(2)
    assert agent.begin_to_listen("to a") == ""
    assert held(cgroup) == (5, 0)
    assert agent.open("tcp4", "last") == "" and agent.open("tcp4", "more") == "ENOBUFS"
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        assert agent.connect("to b", port, 300) == "ETIMEDOUT"
        assert held(cgroup) == (6, 0) and failed(cgroup)[0] > 1
        agent.close("last")
        assert agent.cut_off("to b") == agent.connect("to b", port) == ""
        assert held(cgroup) == (6, 0)
        assert agent.cut_off("to b") == ""
        assert held(cgroup) == (5, 0)
    agent.close("to b", "to a")
    assert held(cgroup) == (4, 0)
    agent.close("server", "a", "b", "c")
    assert held(cgroup) == (0, 0)


def test_the_last_close_counts(cgroup: CtCgroup, agent: Agent) -> None:
    """Whoever does it: a child, or somebody outside who was given the socket."""
    limit(cgroup, tcp=10)
    assert agent.open("tcp4") == agent.open("tcp6") == ""
    child = agent.fork()
    with Fd(os.pidfd_open(agent.process.pid)) as pidfd:
        ours = Fd(descriptors.pidfd_getfd(pidfd.fileno(), agent.descriptor("tcp6")))
    agent.close("tcp4", "tcp6")
    assert held(cgroup) == (2, 0)
    agent.end(child)
    assert held(cgroup) == (1, 0)
    ours.close()
    assert held(cgroup) == (0, 0)


def test_a_limit_moves_while_sockets_are_open(cgroup: CtCgroup, agent: Agent) -> None:
    limit(cgroup, tcp=2)
    assert agent.open("tcp4", "a") == agent.open("tcp4", "b") == ""
    limit(cgroup, tcp=1)
    assert agent.open("tcp4", "c") == "ENOBUFS"
    agent.close("a")
    assert agent.open("tcp4", "c") == "ENOBUFS"
    limit(cgroup, tcp=2, other=0)
    assert agent.open("tcp4", "c") == "" and agent.open("udp4") == "ENOBUFS"
    limit(cgroup, other=1)
    assert agent.open("tcp4", "d") == agent.open("udp4") == ""
    assert held(cgroup) == (3, 1) and failed(cgroup) == (2, 1)


def test_sockets_that_are_older_than_the_limit_count(cgroup: CtCgroup, agent: Agent) -> None:
    port = agent.listen("server")
    for kind in ("tcp4", "udp4", "udp6", "unix", "netlink"):
        assert agent.open(kind) == ""
    assert agent.connect("tcp4", port) == agent.accept("server", "peer") == ""
    child = agent.fork()
    limit(cgroup, tcp=3, other=3)
    assert held(cgroup) == (3, 2)
    assert agent.open("tcp6") == "ENOBUFS" and agent.open("raw4") == ""
    agent.end(child)
    agent.close("server", "tcp4", "peer", "udp4", "udp6", "unix", "raw4")
    assert held(cgroup) == (0, 0)


def test_without_a_limit_there_are_no_programs(cgroup: CtCgroup, agent: Agent, record: Record) -> None:
    """What was refused goes on in the record, and a new limit knows what is open."""
    assert attached(cgroup) == set() and socket_limits.failures(cgroup) == {}
    limit(cgroup, other=1)
    assert attached(cgroup) == {CREATE.name, RELEASE.name, STATES.name}
    limit(cgroup, tcp=1, other=1)
    assert attached(cgroup) == {CREATE.name, RELEASE.name, STATES.name, INCOMING.name}
    assert agent.open("tcp4") == "" and agent.open("tcp4", "more") == "ENOBUFS"
    record.counted = {"numtcpsock": [7, 2]}
    socket_limits.put(cgroup, record, NONE)
    assert attached(cgroup) == set()
    assert record.counted == {"numtcpsock": [7, 3], "numothersock": [0, 0]}
    assert agent.open("tcp4", "b") == ""
    limit(cgroup, tcp=3)
    assert held(cgroup) == (2, 0) and failed(cgroup) == (0, 0)


def test_all_or_nothing(cgroup: CtCgroup, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(hook: bpf.Hook, maps: Maps) -> Fd:
        raise OSError(22, "bpf load: Invalid argument", hook.name)

    load = socket_programs.load_program
    monkeypatch.setattr(
        socket_programs, "load_program", lambda hook, maps: (broken if hook is CREATE else load)(hook, maps)
    )
    text = "^cannot set NUMTCPSOCK to 5, NUMOTHERSOCK to unlimited: bpf load: Invalid argument$"
    with pytest.raises(Failure, match=text):
        limit(cgroup, tcp=5)
    assert attached(cgroup) == set() and agent.open("tcp4") == ""


@pytest.mark.parametrize("hooks", [(RELEASE,), (RELEASE, STATES, MARK), (RELEASE, STATES, MARK, CREATE)])
def test_what_a_killed_hostd_left_half_done(cgroup: CtCgroup, agent: Agent, hooks: tuple[bpf.Hook, ...]) -> None:
    assert agent.open("tcp4") == ""
    maps = Maps.new()
    bpf.write_numbers(maps.limits, 100, 100)
    with directory_of(cgroup) as directory:
        for hook in hooks:
            bpf.attach(hook, directory, socket_programs.load_program(hook, maps))
    assert agent.open("tcp6") == ""
    del maps
    limit(cgroup, tcp=2)
    assert held(cgroup) == (2, 0) and agent.open("tcp4", "more") == "ENOBUFS"
    assert attached(cgroup) == {CREATE.name, RELEASE.name, STATES.name, INCOMING.name}
    agent.close("tcp4", "tcp6")
    assert held(cgroup) == (0, 0)


def test_no_count_drifts(cgroup: CtCgroup, agent: Agent) -> None:
    """At the limit, on all processors at once, with connections that nobody accepts, while the limit moves."""
    limit(cgroup, tcp=9, other=3)
    agent.storm(4, 100)
    machine.until("all are gone", lambda: held(cgroup) == (0, 0))
    tcp, other = failed(cgroup)
    assert tcp > 0 and other > 0


def test_multipath_tcp_is_tcp(cgroup: CtCgroup, agent: Agent) -> None:
    if agent.open("mptcp", "probe"):
        pytest.skip("this kernel has no MPTCP")
    agent.close("probe")
    limit(cgroup, tcp=1)
    assert agent.open("mptcp") == "" and agent.open("tcp4") == "ENOBUFS"
    agent.close("mptcp")
    assert held(cgroup) == (0, 0)
