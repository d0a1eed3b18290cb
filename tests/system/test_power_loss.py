"""The power fails at every step of create and destroy: what was only in /run is lost, and nothing is half there."""

import shutil

import pytest

from hostd.config import files
from tests.harness import leaks, machine
from tests.harness.installation import Vz
from tests.system.test_faults import DOWN, GONE, OPERATIONS, bring_to, nothing_half_done, points

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.mark.parametrize("name", ["create", "refused", "destroy"])
def test_power_is_lost_at_every_point(vz: Vz, name: str, request: pytest.FixtureRequest) -> None:
    operation = OPERATIONS[name]
    found = points(vz, operation)
    request.node.user_properties.append(("points", len(found)))
    fault = f"{vz.prefix}/fault"
    vz.env["VZ_FAULT"] = f"@{fault}"
    for point in found:
        bring_to(vz, operation.before)
        files.replace(fault, f"{point}:both")
        vz.ctl(*operation.command, check=None)
        machine.until(f"killed at {point}", lambda: not any(map(machine.alive, (vz.keeper_pid, vz.daemon_pid))))
        leaks.sweep(vz.prefix, vz.paths.cgroup_root)
        shutil.rmtree(vz.paths.run_dir)
        try:
            state = vz.status(101)
            assert state in (DOWN, GONE)
            nothing_half_done(vz, state)
            if state == operation.before:
                vz.ctl(*operation.command, check=operation.code)
                nothing_half_done(vz, vz.status(101))
            elif state == DOWN:
                vz.ctl("start", "101")
        except AssertionError as error:
            raise AssertionError(f"power lost at {point}: {error}\n{vz.log_tail()}") from error
