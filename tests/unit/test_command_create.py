"""vzctl create: the configuration that it makes."""

import os

from hostd.config.veconf import VeConf
from hostd.errors import Failure
from tests.harness.fake_host import Fake, Said

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def test_create(fake: Fake) -> None:
    said = fake.ctl("create", "101", "--ipadd", "192.0.2.1/24", "--hostname", "web", "--name", "my web",
                    "--ostem", "debian-13", "--diskspace", "3G")  # fmt: skip
    assert said == Said(0, "Container private area was created\n", "")
    sample = VeConf.load(fake.paths.sample_conf("basic")).text()
    expected = sample.replace('DISKSPACE="10485760:10485760"', 'DISKSPACE="3145728:3145728"') + (
        'IP_ADDRESS="192.0.2.1/24"\nHOSTNAME="web"\nNAME="my web"\n'
        f'VE_ROOT="{fake.paths.root_default}"\nVE_PRIVATE="{fake.paths.private_default}"\n'
        'VE_LAYOUT="overlay"\nOSTEMPLATE="debian-13"\nORIGIN_SAMPLE="basic"\n'
    )
    assert fake.conf(101) == expected
    assert "$VEID" in fake.paths.root_default
    assert fake.ctl("status", "my web").stdout == "CTID 101 exist unmounted down\n"


def test_create_over_something(fake: Fake) -> None:
    private = fake.paths.private_default.replace("$VEID", "101")
    os.makedirs(f"{private}/x")
    assert fake.ctl("create", "101") == Said(44, "", f"Private area already exists in {private}\n")
    os.rmdir(f"{private}/x")
    path = fake.ct(101, '# mine\nCPUUNITS="77"\n')
    assert fake.ctl("create", "101", "--config", "basic").code == 82
    os.rmdir(private)
    said = fake.ctl("create", "101")
    assert said.code == 0 and said.stdout.count("Warning: ") == 2 and path in said.stdout
    assert fake.conf(101).startswith('# mine\nCPUUNITS="77"\n') and "ORIGIN_SAMPLE" not in fake.conf(101)


def test_create_refuses(fake: Fake) -> None:
    text = f"Sample config file not found: {fake.paths.sample_conf('none')}\n"
    assert fake.ctl("create", "101", "--config", "none") == Said(82, "", text)
    assert fake.ctl("create", "101", "--config", "../x").code == 82
    assert fake.ctl("create", "101", "--config", "").code == 82
    assert fake.ctl("create", "101", "--ipadd", "x").code == 21
    assert fake.ctl("create", "101", "--layout", "zfs").code == 21
    with open(fake.paths.vz_conf, "w", encoding="ascii") as file:
        file.write("CONFIGFILE=basic\n")
    assert fake.ctl("create", "101").code == 29
    assert fake.asked() == []


def test_create_without_a_sample(fake: Fake) -> None:
    """libvirt cannot live without ONBOOT."""
    with open(fake.paths.vz_conf, "w", encoding="ascii") as file:
        file.write("DEF_OSTEMPLATE=busybox\n")
    assert fake.ctl("create", "101", "--layout", "simfs").code == 0
    lines = fake.conf(101).splitlines()
    assert 'ONBOOT="no"' in lines and 'VE_LAYOUT="simfs"' in lines and 'OSTEMPLATE="busybox"' in lines
    assert not [line for line in lines if line.startswith("ORIGIN_SAMPLE")]


def test_a_failing_create_says_so(fake: Fake) -> None:
    fake.host.failure = Failure(91, "Cached OS template debian-12 not found")
    said = fake.ctl("create", "101")
    text = "Cached OS template debian-12 not found\nCreation of container private area failed\n"
    assert said == Said(91, "", text) and not os.path.exists(fake.paths.ct_conf(101))


def test_a_layout_without_limits_says_so(fake: Fake) -> None:
    said = fake.ctl("create", "101", "--layout", "simfs")
    line = "Warning: layout simfs does not enforce DISKSPACE and DISKINODES; layout overlay does\n"
    assert said == Said(0, line + "Container private area was created\n", "")


def test_user_data_and_keys_make_a_plan(fake: Fake) -> None:
    """Its host name is the setting, unless one is given; what is unknown is told in one line."""
    for name, text in (
        ("data", "#cloud-config\nfqdn: web.example.org\nruncmd: [x]\napt: y\npower_state: z\n"),
        ("key", f"ssh-ed25519 {KEY}\n"),
    ):
        with open(f"{fake.session.cwd}/{name}", "w", encoding="ascii") as file:
            file.write(text)
    said = fake.ctl("create", "101", "--userdata", "data", "--sshkey", "key")
    warning = "Warning: data: nothing is done about apt, power_state\n"
    assert said == Said(0, f"{warning}Container private area was created\n", "")
    assert 'HOSTNAME="web.example.org"\n' in fake.conf(101)
    plan = fake.host.calls[-1][2].plan  # type: ignore[attr-defined]
    assert [one.what for one in (*plan.before_services, *plan.late)] == ["ssh keys of root", "runcmd"]
    fake.ctl("create", "102", "--userdata", "data", "--hostname", "other")
    assert 'HOSTNAME="other"\n' in fake.conf(102)
    fake.ctl("create", "103")
    assert fake.host.calls[-1][2].plan is None  # type: ignore[attr-defined]


def test_user_data_of_a_set(fake: Fake) -> None:
    """For the next start: a running container is told so, one that is not there refuses it."""
    with open(f"{fake.session.cwd}/data", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\ntrue\n")
    fake.up(101)
    text = "Error: unable to use --userdata option without --save\n"
    assert fake.ctl("set", "101", "--userdata", "data") == Said(20, "", text)
    said = fake.ctl("set", "101", "--userdata", "data", "--save")
    assert said.code == 0 and said.stdout.endswith(
        "Warning: --userdata takes effect after a restart of the container (or use --setmode restart)\n"
    )
    assert fake.asked() == ["lay_plan"]
    os.rmdir(fake.paths.private_default.replace("$VEID", "101"))
    assert fake.ctl("set", "101", "--userdata", "data", "--save").code == 43
