"""vzmetrics as Prometheus meets it: over HTTP, of containers that run."""

import re
import signal

import pytest

from tests.harness import machine
from tests.harness.installation import TIMEOUT, Vz

pytestmark = pytest.mark.system

GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
URL = "http://198.51.100.1:9821/metrics"


def scrape(vz: Vz) -> dict[str, float]:
    """By metric and labels."""
    said = vz.run("python3", "-c", GET, URL, check=None).stdout
    return {match[1]: float(match[2]) for match in re.finditer(r"^(vzhost_\S+) (\S+)$", said, re.MULTILINE)}


def test_figures_of_containers(vz: Vz) -> None:
    vz.start(101, "--name", "web")
    vz.ctl("set", "101", "--ram", "64M", "--swap", "0")
    server = vz.popen("vzmetrics", "--listen", "198.51.100.1:9821")
    machine.until("it answers", lambda: scrape(vz) != {})
    before = scrape(vz)
    web = '{ctid="101",name="web"}'
    assert before["vzhost_up"] == before[f"vzhost_container_running{web}"] == 1
    assert before[f"vzhost_container_memory_limit_bytes{web}"] == 64 << 20
    assert 0 < before[f"vzhost_container_memory_bytes{web}"] < 64 << 20
    vz.ctl("exec2", "101", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    cpu, running = f"vzhost_container_cpu_seconds_total{web}", f"vzhost_container_running{web}"
    machine.until("a second has passed", lambda: scrape(vz)[cpu] > before[cpu])
    vz.ctl("stop", "101")
    machine.until("another one has passed", lambda: scrape(vz)[running] == 0)
    assert f"vzhost_container_memory_bytes{web}" not in scrape(vz)
    taken = vz.run("vzmetrics", "--listen", "198.51.100.1:9821", check=1)
    assert taken.stderr == "vzmetrics: cannot listen on 198.51.100.1 port 9821: Address already in use\n"
    server.send_signal(signal.SIGTERM)
    assert server.wait(TIMEOUT) == 0


def test_a_hostd_that_was_stopped_stays_so(vz: Vz) -> None:
    """And is told of as long as it is."""
    vz.start(101)
    vz.popen("vzmetrics", "--listen", "198.51.100.1:9821")
    machine.until("it answers", lambda: scrape(vz).get("vzhost_up") == 1)
    vz.stop_hostd()
    machine.until("it tells of that", lambda: scrape(vz) == {"vzhost_up": 0})
    assert not machine.alive(vz.keeper_pid)
    vz.ctl("status", "101")
    machine.until("it tells of the next one", lambda: scrape(vz).get("vzhost_up") == 1)
