"""Ansible over ssh: its modules find in a container the server that they expect."""

import json
import os
import re
import subprocess
from functools import partial

import pytest

from tests.harness import machine
from tests.harness.apt_repository import USE_IT, AptRepository
from tests.harness.installation import CHECKOUT, Vz
from tests.harness.patience import patient

BIN = f"{CHECKOUT}/build/ansible/bin"
PLAYBOOK = f"{os.path.dirname(__file__)}/playbook/site.yml"
ADDRESS = "192.0.2.101"
REBOOT = "reboot_command=/sbin/reboot reboot_timeout=120"  # there is no logind that `shutdown -r 0` could ask

pytestmark = [
    pytest.mark.system,
    pytest.mark.userland,
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists(f"{BIN}/ansible"), reason="no Ansible here: make build/ansible.stamp"),
]


class Ansible:
    """The commands of Ansible on the host, and one container that knows its key."""

    def __init__(self, vz: Vz, ctid: str) -> None:
        self._vz = vz
        self._key = f"{vz.prefix}/key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._key], check=True)
        with open(f"{self._key}.pub") as file:
            vz.ctl("exec2", ctid, "mkdir -p /root/.ssh; cat >/root/.ssh/authorized_keys", input=file.read())

    def run(self, program: str, *argv: str) -> str:
        """What *program* says.  No connection outlives it."""
        home = f"{self._vz.prefix}/ansible"
        env = {
            "ANSIBLE_HOME": home, "ANSIBLE_LOCAL_TEMP": home, "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_SSH_ARGS": "-oControlMaster=no -oUserKnownHostsFile=/dev/null -oLogLevel=ERROR",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3", "ANSIBLE_PIPELINING": "true", "ANSIBLE_NOCOLOR": "true",
        }  # fmt: skip
        where = ("-i", f"{ADDRESS},", "-u", "root", "--private-key", self._key)
        return self._vz.run(f"{BIN}/{program}", *where, *argv, env=env, timeout=patient(600)).stdout

    def facts(self) -> dict[str, object]:
        said = self.run("ansible", "all", "-m", "setup")
        found: dict[str, object] = json.loads(said.partition("=>")[2])["ansible_facts"]
        return found

    def play(self) -> list[str]:
        """The modules, one for each task, that changed something."""
        said = self.run("ansible-playbook", PLAYBOOK)
        assert "failed=0" in said, said
        return re.findall(r"^(?:TASK|RUNNING HANDLER) \[(.*)\] .*\nchanged", said, re.MULTILINE)


@pytest.mark.parametrize("init", ["vz", "handoff"])
def test_a_server_of_ansibles(vz: Vz, init: str) -> None:
    AptRepository(vz, "debian-12-packages")
    vz.start(101, "--init", init, "--ipadd", ADDRESS, "--hostname", "new", template="debian-12-tools")
    machine.until("sshd is up", partial(is_up, vz, "ssh"))
    vz.ctl("exec2", "101", USE_IT)
    ansible = Ansible(vz, "101")
    facts = ansible.facts()
    assert facts["ansible_service_mgr"] == "systemd"
    assert facts["ansible_virtualization_role"] == "guest" and facts["ansible_virtualization_type"] == "container"
    assert len(ansible.play()) == 12  # ten tasks (apt has started nginx already) and two handlers
    assert ansible.play() == []
    assert is_up(vz, "nginx", "ssh", "ticker", "cron") and not is_up(vz, "logrotate.timer")
    assert vz.run("busybox", "wget", "-qO-", f"http://{ADDRESS}:8000/").stdout == "Served from Debian 12\n"
    vz.ctl("set", "101", "--hostname", "web.example.org", "--save")  # vzctl's word counts at each start
    clock = vz.uptime_clock(101)
    ansible.run("ansible", "all", "-m", "reboot", "-a", REBOOT)
    assert vz.uptime_clock(101) != clock
    machine.until("it is as it was", partial(is_up, vz, "nginx", "ssh", "ticker", "cron"))
    assert ansible.play() == []
    vz.ctl("exec2", "101", "sync -f /")  # a busy host needs longer than the end of a test waits for the disk


def is_up(vz: Vz, *names: str) -> bool:
    return vz.ctl("exec2", "101", f"systemctl is-active {' '.join(names)}", check=None).code == 0
