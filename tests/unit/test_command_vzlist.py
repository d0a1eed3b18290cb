"""vzlist: byte for byte."""

import json
import os

import pytest

from hostd.command.activity import FIELDS
from hostd.command.columns import COLUMNS
from hostd.command.figures import Counter, Usage
from hostd.command.host import Facts
from hostd.config import names
from hostd.config.veconf import VeConf
from tests.harness.fake_host import Fake, Said

UP = Facts(exists=True, mounted=True, running=True, uptime=93784.5)
WEB = 'IP_ADDRESS="192.0.2.1/24 2001:db8::1"\nHOSTNAME="web.example.org"\nNAME="web"\nONBOOT="yes"\n'
LIMITS = 'NUMPROC="100:120"\nPHYSPAGES="0:65536"\nSWAPPAGES="0:131072"\nDISKSPACE="2G:2.2G"\n'


@pytest.fixture
def fake(tmp_path: os.PathLike[str]) -> Fake:
    """101 runs, 102 is stopped, 103 mounted, 104 suspended, 105 lost its private area."""
    fake = Fake(str(tmp_path))
    fake.ct(101, WEB + LIMITS)
    fake.host.states[101] = UP
    fake.host.usages[101] = Usage(
        counters={"numproc": Counter(23, 30, 2), "physpages": Counter(1000)},
        load=(0.0, 0.014, 0.05),
        disk_kib=5000,
        disk_inodes=77,
    )
    fake.ct(102, 'CPUUNITS="heavy"\n' + LIMITS)
    fake.ct(103, mounted=True)
    fake.ct(104, 'DESCRIPTION="the fourth"\nBOOTORDER="5"\nFEATURES="NFS:on ppp:off"\n', suspended=True)
    fake.ct(105)
    fake.host.states[105] = Facts()
    return fake


def test_default_table(fake: Fake) -> None:
    assert fake.vzlist() == Said(
        0,
        "      CTID      NPROC STATUS    IP_ADDR         HOSTNAME\n"
        "       101         23 running   192.0.2.1       web.example.org\n",
        "",
    )


def test_all(fake: Fake) -> None:
    assert fake.vzlist("-a").stdout == (
        "      CTID      NPROC STATUS    IP_ADDR         HOSTNAME\n"
        "       101         23 running   192.0.2.1       web.example.org\n"
        "       102          - stopped   -               -\n"
        "       103          - mounted   -               -\n"
        "       104          - suspended -               -\n"
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["-1"], "101"),
        (["-a1"], "101 102 103 104"),
        (["-S1"], "102 103 104"),
        (["-Ho", "veid"], "101"),
        (["-ovpsid,status"], "CTID STATUS 101 running"),
        (["-aHoctid,status", "--sort=-ctid"], "104 suspended 103 mounted 102 stopped 101 running"),
        (["-aHo", "ctid", "-sbootorder"], "101 102 103 104"),
        (["-aHo", "ctid", "-s-bootorder"], "104 101 102 103"),
        (["-aHo", "ctid", "-s", "status"], "103 101 102 104"),
        (["-aHo", "ctid", "-s", "-uptime"], "101 102 103 104"),
        (["-aHo", "ctid", "-s", "smart_name"], "102 103 104 101"),
        (["-an", "-H", "-o", "smart_name"], "web 102 103 104"),
        (["-aH1", "-h", "web.*"], "101"),
        (["-aH1", "-N", "w?b"], "101"),
        (["-aH1", "-d", "*fourth"], "104"),
        (["-H1", "102", "web"], "101 102"),
        (["--no-header", "--output", "onboot,disabled,vswap", "web"], "yes no yes"),
        (["-aHo", "cpuunits,cpulimit,bootorder,onboot,netfilter", "103"], "1000 0 - - stateless"),
        (["-Ho", "numproc,numproc.m,numproc.b,numproc.l,numproc.f", "101"], "23 30 100 120 2"),
        (["-Ho", "numproc,numproc.m,numproc.b,numproc.l,numproc.f", "102"], "- - 100 120 -"),
        (["-Ho", "kmemsize.b,kmemsize.l", "101"], "9223372036854775807 9223372036854775807"),
        (["-Ho", "kmemsize.b,kmemsize", "102"], "- -"),
        (["-Ho", "physpages,physpages.m,physpages.l", "101"], "1000 - 65536"),
        (["-Ho", "diskspace,diskspace.s,diskspace.h,diskinodes", "101"], "5000 2097152 2306867 77"),
        (["-Ho", "diskspace,diskspace.s,diskspace.h", "102"], "- 2097152 2306867"),
        (["-Ho", "laverage,uptime", "101"], "0.00/0.01/0.05 001d02h:03m:04s"),
        (["-Ho", "laverage,uptime", "102"], "- -"),
        (["-Ho", "features,layout", "104"], "nfs:on,ppp:off overlay"),
        (["-Ho", "ip", "101"], "192.0.2.1 2001:db8::1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_selections(fake: Fake, argv: list[str], words: str) -> None:
    names.assign(fake.paths, 101, "web")
    said = fake.vzlist(*argv)
    assert (said.code, said.stdout.split()) == (0, words.split()), said


def test_alignment(fake: Fake) -> None:
    assert fake.vzlist("-Ho", "ctid").stdout == "       101\n"
    assert fake.vzlist("-o", "hostname,ctid,name").stdout == (
        f"{'HOSTNAME':<32} {'CTID':>10} NAME\n{'web.example.org':<32} {101:>10} web\n"
    )
    for line in fake.vzlist("-a", "-o", "ctid,hostname,name,description").stdout.splitlines():
        assert line == line.rstrip()


def test_clipping(fake: Fake) -> None:
    long = "a" * 40
    fake.ct(101, f'HOSTNAME="{long}"\nNAME="{long}"\n')
    assert fake.vzlist("-aHo", "hostname,status", "101").stdout == f"{long[:32]} stopped\n"
    assert fake.vzlist("-aHto", "hostname,status", "101").stdout == f"{long} stopped\n"
    assert fake.vzlist("-aHo", "status,hostname", "101").stdout == f"stopped   {long}\n"
    assert fake.vzlist("-aHo", "smart_name,ctid", "101").stdout == f"{long[:10]}        101\n"


def test_live_values_are_shown(fake: Fake) -> None:
    fake.host.states[101] = Facts(
        exists=True, running=True, live={"CPUUNITS": "77", "IP_ADDRESS": "192.0.2.9"}
    )
    assert fake.vzlist("-Ho", "cpuunits,ip,hostname").stdout.split() == ["77", "192.0.2.9", "web.example.org"]


def test_defaults_of_vz_conf_are_shown(fake: Fake) -> None:
    with open(fake.paths.vz_conf, "a", encoding="ascii") as file:
        file.write('CPULIMIT="70"\nNAME="x"\nNETFILTER="full"\nONBOOT="yes"\n')
    fields = fake.vzlist("-Ho", "cpulimit,onboot,netfilter,name", "103").stdout.split()
    assert fields == ["70", "yes", "stateless", "-"]


def test_usage_is_read_only_when_shown(fake: Fake) -> None:
    fake.vzlist("-a", "-o", "ctid,status,numproc.l,diskspace.h,uptime")
    assert fake.host.calls == []
    fake.vzlist("-a", "-o", "ctid", "-s", "numproc")
    assert fake.host.calls == [("usage", 101, "processes")]
    fake.host.calls.clear()
    fake.vzlist("-a", "-o", "diskspace,laverage")
    assert fake.host.calls == [("usage", 101, "disk", "load"), ("usage", 103, "disk")]
    fake.host.calls.clear()
    fake.vzlist("-o", "numproc,numproc.m")
    fake.vzlist("-j", "-o", "numproc")
    assert fake.host.calls == [("usage", 101, "numproc", "processes")] * 2
    fake.host.calls.clear()
    fake.vzlist("-o", "numfile,physpages.m,numfile.f,kmemsize.b")
    assert fake.host.calls == [("usage", 101, "numfile", "physpages")]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-o", "colour"], "Unknown field: colour\n"),
        (["-o", "ctid,"], "Unknown field: \n"),
        (["-s", "colour"], "Invalid sort field name: colour\n"),
        (["-s-colour"], "Invalid sort field name: colour\n"),
        (["-j", "-o", "ctid,numproc.b"], "Field `numproc.b' is not available in JSON output\n"),
        (["nobody"], "CT ID nobody is invalid.\n"),
        (["777"], "Container(s) not found\n"),
        (["-h"], "vzlist: option requires an argument -- 'h'\n"),
        (["-z"], "vzlist: invalid option -- 'z'\n"),
    ],
)
def test_refused(fake: Fake, argv: list[str], text: str) -> None:
    assert fake.vzlist(*argv) == Said(1, "", text)


def test_one_of_those_named_is_not_there(fake: Fake) -> None:
    text = "Container(s) not found: 777 999\n"
    assert fake.vzlist("-H1", "102", "999", "777", "101") == Said(1, "       101\n       102\n", text)
    said = fake.vzlist("-j", "-o", "ctid", "101", "999", "777")
    assert (said.code, json.loads(said.stdout), said.stderr) == (1, [{"ctid": 101}], text)


@pytest.mark.parametrize(
    ("line", "field", "shown", "value"),
    [
        ('IOLIMIT="10M"', "iolimit", "10485760", 10485760),
        ('IOLIMIT="fast"', "iolimit", "-", None),
        ('VM_OVERCOMMIT="1.5"', "vm_overcommit", "1.5", 1.5),
        ('VM_OVERCOMMIT="2"', "vm_overcommit", "2", 2),
        ('VM_OVERCOMMIT="much"', "vm_overcommit", "much", None),
        ("", "vm_overcommit", "-", None),
    ],
)
def test_numbers_of_a_file(fake: Fake, line: str, field: str, shown: str, value: float | None) -> None:
    fake.ct(105, f"{line}\n")
    assert fake.vzlist("-Ho", field, "105").stdout.strip() == shown
    assert json.loads(fake.vzlist("-jo", field, "105").stdout) == [{field: value}]


def test_nothing_to_show(tmp_path: os.PathLike[str]) -> None:
    fake = Fake(str(tmp_path))
    assert fake.vzlist() == Said(0, "", "Container(s) not found\n")
    assert fake.vzlist("-aj") == Said(0, "[]\n", "")
    assert fake.vzlist("-j", "101") == Said(1, "[]\n", "")
    fake.ct(105)
    fake.host.states[105] = Facts()
    assert fake.vzlist("-a", "-o", "ctid") == Said(0, "      CTID\n", "")


def test_help_and_list(fake: Fake) -> None:
    said = fake.vzlist("--help")
    assert said.code == 1 and said.stdout.startswith("Usage: vzlist") and said.stderr == ""
    lines = fake.vzlist("-L").stdout.splitlines()
    assert lines[0] == f"{'ctid':<15} {'CTID':<15}" and len(lines) == len(FIELDS)
    assert f"{'numproc.f':<15} {'NPROC.F':<15}" in lines


def test_every_documented_field_is_there() -> None:
    plain = """
        ctid private root mount_opts origin_sample hostname name smart_name description ostemplate
        ip nameserver searchdomain status laverage uptime cpulimit cpuunits cpus ioprio iolimit
        iopslimit onboot bootorder layout features vswap disabled vm_overcommit netfilter capability
        diskspace diskspace.s diskspace.h diskinodes diskinodes.s diskinodes.h
    """
    counters = """
        kmemsize lockedpages privvmpages shmpages numproc physpages vmguarpages oomguarpages
        numtcpsock numflock numpty numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf
        numothersock dcachesize numfile numiptent swappages
    """
    wanted = {
        *plain.split(),
        *(name + end for name in counters.split() for end in ("", ".m", ".b", ".l", ".f")),
    }
    assert {column.name for column in COLUMNS} == wanted


def test_every_width_and_heading() -> None:
    table = """
        ctid CTID 10, private PRIVATE -32, root ROOT -32, mount_opts MOUNT_OPTS -16, hostname
        HOSTNAME -32, origin_sample ORIGIN_SAMPLE 32, name NAME -32, smart_name SMARTNAME 10,
        description DESCRIPTION -32, ostemplate OSTEMPLATE -32, ip IP_ADDR -15, nameserver
        NAMESERVER -32, searchdomain SEARCHDOMAIN -32, status STATUS -9, laverage LAVERAGE 14,
        uptime UPTIME 15, cpulimit CPULIM 7, cpuunits CPUUNI 7, cpus CPUS 5, ioprio IOP 3, iolimit
        IOLIMIT 10, iopslimit IOPS 4, onboot ONBOOT 6, bootorder BOOTORDER 10, layout LAYOUT -6,
        features FEATURES -15, vswap VSWAP 5, disabled DISABL 6, vm_overcommit VM_OVC 6, netfilter
        NETFILTER -9, diskspace DSPACE 10, diskspace.s DSPACE.S 10, diskinodes.h DINODES.H 10,
        kmemsize KMEMSIZE 10, lockedpages.m LOCKEDP.M 10, privvmpages PRIVVMP 10, shmpages SHMP 10,
        physpages PHYSP 10, numtcpsock NTCPSOCK 10, vmguarpages VMGUARP 10, oomguarpages.b
        OOMGUARP.B 10, numflock NFLOCK 10, numpty NPTY 10, numfile NFILE 10, numsiginfo NSIGINFO 10,
        tcpsndbuf TCPSNDB 10, tcprcvbuf TCPRCVB 10, othersockbuf OTHSOCKB 10, swappages SWAPP 10,
        dgramrcvbuf DGRAMRB 10, numothersock NOTHSOCK 10, dcachesize.l DCACHESZ.L 10, numiptent.f
        NIPTENT.F 10
    """
    known = {column.name: (column.header, column.width) for column in COLUMNS}
    for entry in table.split(","):
        name, header, width = entry.split()
        assert known[name] == (header, int(width)), name


def test_json_style(fake: Fake) -> None:
    fields = "ctid,hostname,ip,onboot,laverage,uptime,numproc,features,searchdomain"
    assert fake.vzlist("-j", "-o", fields).stdout == (
        '[\n  {\n    "ctid": 101,\n    "hostname": "web.example.org",\n    "ip": [\n      "192.0.2.1",\n'
        '      "2001:db8::1"\n    ],\n    "onboot": true,\n    "laverage": [0.00, 0.01, 0.05],\n'
        '    "uptime": 93784.500,\n    "numproc": {\n      "held": 23,\n      "maxheld": 30,\n'
        '      "barrier": 100,\n      "limit": 120,\n      "failcnt": 2\n    },\n    "features": {},\n'
        '    "searchdomain": [\n      "inherit"\n    ]\n  }\n]\n'
    )


def test_json_of_everything(fake: Fake) -> None:
    running, stopped, *_ = json.loads(fake.vzlist("-aj").stdout)
    assert (running["smart_name"], stopped["smart_name"]) == ("web", 102)
    assert (running["status"], running["vswap"], running["disabled"]) == ("running", True, False)
    assert running["diskspace"] == {"usage": 5000, "softlimit": 2097152, "hardlimit": 2306867}
    unknown = {"held": None, "maxheld": None, "barrier": 2**63 - 1, "limit": 2**63 - 1, "failcnt": None}
    assert running["numfile"] == unknown and stopped["numfile"] == dict.fromkeys(unknown, 0)
    assert stopped["diskspace"]["usage"] == 0  # of what is not mounted; of what is, it may not be known
    (mounted,) = json.loads(fake.vzlist("-j", "-o", "diskinodes", "103").stdout)
    assert mounted == {"diskinodes": {"usage": None, "softlimit": 0, "hardlimit": 0}}
    assert stopped["numproc"] == {"held": 0, "maxheld": 0, "barrier": 100, "limit": 120, "failcnt": 0}
    assert stopped["kmemsize"]["limit"] == 0 and running["kmemsize"]["limit"] == 2**63 - 1
    assert (stopped["laverage"], stopped["uptime"], stopped["ip"]) == (None, 0, [])
    assert (stopped["hostname"], stopped["cpuunits"], stopped["cpulimit"]) == (None, 1000, 0)
    assert "numproc.b" not in running and "veid" not in running and next(iter(running)) == "ctid"
    assert json.loads(fake.vzlist("-aj", "-o", "features", "104").stdout) == [
        {"features": {"nfs": True, "ppp": False}}
    ]


def test_files_that_did_not_change_are_not_read_again(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what a list of a thousand containers would take its time for."""
    for ctid in range(1000, 1010):
        fake.ct(ctid, WEB + LIMITS)
        fake.host.states[ctid] = UP
    before = fake.vzlist("-a")
    parsed: list[str] = []
    load = VeConf.load

    def noted(path: str) -> VeConf:
        parsed.append(path)
        return load(path)

    monkeypatch.setattr(VeConf, "load", noted)
    assert fake.vzlist("-a") == before and len(before.stdout.splitlines()) == 15 and parsed == []
    fake.ct(1003, WEB + LIMITS + "# changed\n")
    fake.vzlist("-a")
    assert parsed == [fake.paths.ct_conf(1003)]
