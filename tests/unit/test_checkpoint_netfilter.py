"""Rules that CRIU would save and could not load are found in what it has saved."""

import subprocess
from pathlib import Path

import pytest

from hostd.checkpoint import images_dir, netfilter, run
from hostd.errors import Failure

NATIVE = """\
table ip nat {
\tchain post {
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\tcounter packets 1 bytes 40 masquerade comment "of xt"
\t}
}
"""
OF_IPTABLES = """\
table ip nat {
\tchain NETAVARK-HOSTPORT-MASQ {
\t\txt match "comment" meta mark & 0x00002000 == 0x00002000 counter packets 0 bytes 0 xt target "MASQUERADE"
\t}
}
"""


def test_rules_of_nft_pass(tmp_path: Path) -> None:
    netfilter.check(str(tmp_path))
    (tmp_path / "nftables-10.img").write_text(NATIVE)
    netfilter.check(str(tmp_path))


def test_those_of_iptables_are_named(tmp_path: Path) -> None:
    (tmp_path / "nftables-10.img").write_text(NATIVE)
    (tmp_path / "nftables-11.img").write_text(OF_IPTABLES)
    with pytest.raises(Failure, match=r"that nft cannot load \(MASQUERADE, comment\)") as caught:
        netfilter.check(str(tmp_path))
    assert caught.value.exit_code == 16


@pytest.mark.parametrize(("rules", "refused"), [("", False), (NATIVE, False), (OF_IPTABLES, True)])
def test_the_hook_finds_them_without_us(tmp_path: Path, rules: str, refused: bool) -> None:
    """CRIU lets the tasks go on when it fails."""
    if rules:
        (tmp_path / "nftables-10.img").write_text(rules)
    hook = run.HOOK_TEXT.replace(run.IMAGES, str(tmp_path))
    done = subprocess.run(["sh", "-c", hook], env={"CRTOOLS_SCRIPT_ACTION": run.ALL_SAVED}, check=False)
    assert (done.returncode != 0, (tmp_path / images_dir.REFUSED).exists()) == (refused, refused)
