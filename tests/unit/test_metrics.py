"""vzmetrics: what a scrape says of containers, by a vzlist that says what the test wants."""

import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from hostd.watch import metrics
from hostd.watch.sample import FIELDS


def scrape(tmp_path: Path, script: str) -> list[str]:
    program = tmp_path / "vzlist"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    registry = CollectorRegistry()
    registry.register(metrics.Containers(str(program)))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def containers() -> str:
    counter = {"held": 2, "maxheld": 2, "barrier": 0, "limit": 2**63 - 1, "failcnt": 3}
    web = dict.fromkeys(FIELDS, None) | {"ctid": 101, "name": 'w"b', "status": "running", "uptime": 60.0}
    web |= {"numothersock": counter | {"failcnt": None}}  # not known, which is not 0
    web |= {"numproc": counter, "physpages": counter | {"limit": 100}, "numtcpsock": counter | {"failcnt": 5}}
    web |= {"swappages": counter | {"limit": 50, "failcnt": 0}}
    web |= {"cputime": 1.5, "ioread": 4096, "netin": 7, "cpupsi": 25.0}
    down = dict.fromkeys(FIELDS, None) | {"ctid": 102, "name": "", "status": "stopped"}
    return json.dumps([web, down])


def test_scrape(tmp_path: Path) -> None:
    (tmp_path / "said").write_text(containers())
    lines = scrape(tmp_path, f"cat {tmp_path}/said")
    of_web, of_down = '{ctid="101",name="w\\"b"', '{ctid="102",name=""'
    page = 4096.0
    assert set(lines) == {
        "vzhost_up 1.0",
        f"vzhost_container_running{of_web}}} 1.0",
        f"vzhost_container_running{of_down}}} 0.0",
        f"vzhost_container_uptime_seconds{of_web}}} 60.0",
        f"vzhost_container_processes{of_web}}} 2.0",
        f"vzhost_container_memory_bytes{of_web}}} {2 * page}",
        f"vzhost_container_memory_limit_bytes{of_web}}} {100 * page}",
        f"vzhost_container_swap_bytes{of_web}}} {2 * page}",
        f"vzhost_container_swap_limit_bytes{of_web}}} {50 * page}",
        f"vzhost_container_cpu_seconds_total{of_web}}} 1.5",
        f"vzhost_container_disk_read_bytes_total{of_web}}} {page}",
        f"vzhost_container_network_receive_bytes_total{of_web}}} 7.0",
        'vzhost_container_failures_total{beancounter="numproc",ctid="101",name="w\\"b"} 3.0',
        'vzhost_container_failures_total{beancounter="physpages",ctid="101",name="w\\"b"} 3.0',
        'vzhost_container_failures_total{beancounter="swappages",ctid="101",name="w\\"b"} 0.0',
        'vzhost_container_failures_total{beancounter="numtcpsock",ctid="101",name="w\\"b"} 5.0',
        'vzhost_container_pressure_ratio{ctid="101",name="w\\"b",resource="cpu"} 0.25',
    }


@pytest.mark.parametrize("answer", ["echo '[]'", "exit 1"])
@pytest.mark.parametrize(("fresh", "questions"), [(60.0, 1), (0.0, 3)])
def test_who_asks_again_and_again_keeps_nobody_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: float, questions: int, answer: str
) -> None:
    monkeypatch.setattr(metrics, "FRESH", fresh)
    (tmp_path / "vzlist").write_text(f"#!/bin/sh\necho asked >>{tmp_path}/log; {answer}\n")
    (tmp_path / "vzlist").chmod(0o755)
    found = metrics.Containers(str(tmp_path / "vzlist"))
    for _ in range(3):
        list(found.collect())
    assert (tmp_path / "log").read_text().count("asked") == questions


def test_a_host_that_does_not_answer_is_a_figure_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scrape(tmp_path, "echo hostd is gone >&2; exit 1") == ["vzhost_up 0.0"]
    assert capsys.readouterr().err == "vzmetrics: hostd is gone\n"


@pytest.mark.parametrize("text", ["9821", "localhost:", ":9", "a:0", "a:65536", "a:x"])
def test_a_bad_address_is_named(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        metrics.main("/nowhere", ["--listen", text])
    assert f"{text}: must be ADDRESS:PORT" in capsys.readouterr().err
