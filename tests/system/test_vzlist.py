"""vzlist: columns, alignment, sort, filters, JSON, exit codes."""

import json

import pytest

from tests.harness.installation import Vz

pytestmark = pytest.mark.system


def test_default_table(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1", "--ipadd", "192.0.2.2", "--hostname", "web.example.org")
    header, row = vz.vzlist().splitlines()
    assert header == "      CTID      NPROC STATUS    IP_ADDR         HOSTNAME"
    fields = row.split()
    assert row[:10] == "       101"
    assert fields[0] == "101" and int(fields[1]) >= 1
    assert fields[2:] == ["running", "192.0.2.1", "web.example.org"]
    assert row == row.rstrip()


def test_empty(vz: Vz) -> None:
    said = vz.run("vzlist")
    assert (said.stdout, said.stderr) == ("", "Container(s) not found\n")
    vz.run("vzlist", "101", check=1)


def test_selection_order_and_glued_options(vz: Vz) -> None:
    for ctid in (103, 101, 102):
        vz.create(ctid)
    vz.ctl("start", "102")
    assert vz.vzlist("-1").split() == ["102"]
    assert vz.vzlist("-a1").split() == ["101", "102", "103"]
    assert vz.vzlist("-S1").split() == ["101", "103"]
    assert vz.vzlist("-aHo", "ctid", "-s-ctid").split() == ["103", "102", "101"]
    assert vz.vzlist("-aHoveid,status", "--sort", "status").split()[1::2] == ["running", "stopped", "stopped"]
    assert vz.vzlist("-Ho", "veid", "101").strip() == "101"


def test_filters(vz: Vz) -> None:
    vz.create(101, "--hostname", "a.example.org")
    vz.create(102, "--hostname", "b.example.org")
    vz.ctl("set", "102", "--name", "mail", "--description", "the mail host", "--save")
    assert vz.vzlist("-a1", "-h", "a.*").split() == ["101"]
    assert vz.vzlist("-a1", "-N", "ma*").split() == ["102"]
    assert vz.vzlist("-a1", "-d", "*mail*").split() == ["102"]
    assert vz.vzlist("-aHn", "-o", "smart_name").split() == ["101", "mail"]


def test_statuses(vz: Vz) -> None:
    for ctid in (101, 102, 103):
        vz.create(ctid)
    vz.ctl("start", "101")
    vz.ctl("mount", "102")
    assert vz.vzlist("-aHo", "status").split() == ["running", "mounted", "stopped"]


def test_json(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1", "--hostname", "one")
    vz.create(102)
    running, stopped = json.loads(vz.vzlist("-a", "-j"))
    assert running["ctid"] == 101 and running["status"] == "running"
    assert running["ip"] == ["192.0.2.1"]
    assert isinstance(running["uptime"], float) and running["uptime"] >= 0
    assert set(running["numproc"]) == {"held", "maxheld", "barrier", "limit", "failcnt"}
    assert running["numproc"]["held"] >= 1
    assert running["onboot"] is False
    assert stopped["status"] == "stopped" and stopped["laverage"] is None and stopped["uptime"] == 0
    assert stopped["numproc"]["held"] == 0 and stopped["ip"] == []
    assert stopped["smart_name"] == 102
    two = json.loads(vz.vzlist("-a", "-j", "-o", "ctid,status"))
    assert two == [{"ctid": 101, "status": "running"}, {"ctid": 102, "status": "stopped"}]


def test_json_of_nothing(vz: Vz) -> None:
    assert vz.vzlist("-j").strip() == "[]"


def test_bad_fields(vz: Vz) -> None:
    assert "Unknown field: colour" in vz.run("vzlist", "-o", "colour", check=1).stderr
    assert "Invalid sort field name: colour" in vz.run("vzlist", "-s", "colour", check=1).stderr
    assert "is not available in JSON output" in vz.run("vzlist", "-j", "-o", "numproc.b", check=1).stderr


def test_list_of_fields(vz: Vz) -> None:
    rows = vz.vzlist("-L").splitlines()
    names = [row.split()[0] for row in rows]
    assert names[0] == "ctid" and {"private", "numproc", "ip", "smart_name", "laverage"} <= set(names)
    assert next(row for row in rows if row.startswith("status ")).split() == ["status", "STATUS"]


def test_disk_and_memory_columns(vz: Vz) -> None:
    vz.start(101, "--diskspace", "64M:64M")
    used, soft, hard = vz.vzlist("-Ho", "diskspace,diskspace.s,diskspace.h", "101").split()
    assert 0 < int(used) < 65536 and (soft, hard) == ("65536", "65536")
    assert int(vz.vzlist("-Ho", "physpages", "101")) > 0


def test_what_a_container_has_done_so_far(vz: Vz) -> None:
    """Work of each kind shows where it belongs, and only there."""
    vz.start(101, "--ipadd", "192.0.2.1")

    def so_far() -> dict[str, float]:
        (found,) = json.loads(vz.vzlist("-j", "-o", "cputime,ioread,iowritten,netin,netout", "101"))
        return {name: float(value) for name, value in found.items()}

    before = so_far()
    vz.ctl("exec2", "101", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
    vz.ctl("exec2", "101", "dd if=/dev/zero of=/file bs=1M count=8 conv=fsync")
    vz.run("busybox", "ping", "-c3", "-s1000", "192.0.2.1")
    did = {name: value - before[name] for name, value in so_far().items()}
    assert did["cputime"] > 0.1
    assert did["iowritten"] >= 8 << 20  # the kernel still writes the tables of a new disk, too
    assert 3000 <= did["netin"] < 10000 and 3000 <= did["netout"] < 10000
    assert set(json.loads(vz.vzlist("-j", "-o", "cpupsi,mempsi,iopsi", "101"))[0]) == {"cpupsi", "mempsi", "iopsi"}
