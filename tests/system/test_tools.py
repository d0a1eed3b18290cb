"""The commands beside vzctl, from a container to the screen."""

import re

import pexpect
import pytest

from tests.harness.installation import Vz

pytestmark = pytest.mark.system


def test_beancounters_of_a_running_container(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--name", "web", "--save")
    said = vz.run("vzubc", "web")
    rows = {line.split("|")[0].strip(): line.split("|")[1:] for line in said.stdout.splitlines()[3:-1]}
    assert said.stderr == "" and said.stdout.splitlines()[1].startswith("CT 101       | HELD Bar% Lim%|")
    assert {"numproc", "physpages", "privvmpages", "swappages"} == set(rows)
    assert int(rows["numproc"][0].split()[0]) >= 1 and rows["numproc"][3].strip() == "2K"
    every = vz.run("vzubc", "-v").stdout
    assert re.search(r"^ +numfile\| +[0-9]+ ", every, re.MULTILINE)


def test_watching(vz: Vz) -> None:
    vz.start(101)
    screen = vz.spawn("vzubc", "-w", "-wt", "-wn", "1", "101")
    screen.expect("numproc")
    screen.sendintr()
    screen.expect_exact(screen.delimiter)  # the end


def test_the_host_and_its_containers(vz: Vz) -> None:
    vz.start(101)
    figures = vz.run("vzmemcheck").stdout.splitlines()[-1].split()
    assert len(figures) == 8 and 0 < float(figures[2]) < 100
    assert vz.run("vzmemcheck", "-v").stdout.splitlines()[3].split()[0] == "101"
    assert vz.run("vzcpucheck").stdout.startswith("Current CPU utilization: 1000\nPower of the node: ")
    memory = vz.run("vzcalc", "101").stdout.splitlines()[1].split()
    assert memory[0] == "Memory" and all(float(figure) > 0 for figure in memory[1:])
    vz.run("vzcpucheck", "frob", check=2)
    vz.run("vzcalc", "999", check=1)


def test_a_configuration_that_is_made_scaled_checked_and_used(vz: Vz) -> None:
    """Files are where the command was typed; the daemon runs somewhere else."""
    made = vz.run("sh", "-c", f"cd {vz.prefix} && vzsplit -n 8 >eighth && vzcfgscale -a 0.5 -o half eighth")
    assert (made.stdout, made.stderr) == ("", "Scale completed: success\n")
    vz.run("vzcfgvalidate", "-r", f"{vz.prefix}/half")
    vz.run("vzcfgvalidate", f"{vz.prefix}/half")
    vz.run("cp", f"{vz.prefix}/half", vz.paths.sample_conf("half"))
    vz.create(101, "--config", "half", "--diskspace", "64M:64M")
    vz.ctl("start", "101")
    assert int(vz.vzlist("-Ho", "physpages.l", "101")) > 0


def test_questions_at_a_terminal(vz: Vz) -> None:
    left = vz.spawn("vzsplit")
    left.expect_exact("Enter the number of containers: ")
    left.sendintr()
    left.expect(pexpect.EOF)
    bare = vz.spawn("vzsplit")
    bare.expect_exact("Enter the number of containers: ")
    bare.sendline("8")
    bare.expect_exact("CPUUNITS=")
    path = vz.paths.sample_conf("asked")
    asked = vz.spawn("vzsplit", "-f", "asked")
    asked.expect_exact("Enter the number of containers: ")
    asked.sendline("8")
    asked.expect_exact(f"Config {path} was created")
    vz.run("sed", "-i", "s/^PHYSPAGES=.*/PHYSPAGES=5:100/; s/^SWAPPAGES=.*/SWAPPAGES=0:0/", path)
    repaired = vz.spawn("vzcfgvalidate", "-i", path)
    repaired.expect_exact("(y/n) [y] ")
    repaired.sendline("")
    repaired.expect_exact("Validation completed: success")
    assert vz.run("grep", "PHYSPAGES", path).stdout == 'PHYSPAGES="0:100"\n'
