"""Public keys of OpenSSH: what is one, and what is said of what is not."""

import base64
import subprocess
from pathlib import Path

import pytest

from hostd.userdata import sshkeys


def encoded(kind: str, *fields: bytes) -> str:
    whole = (kind.encode(), *fields)
    return base64.b64encode(b"".join(len(one).to_bytes(4, "big") + one for one in whole)).decode()


ED25519 = encoded("ssh-ed25519", bytes(32))
RSA = encoded("ssh-rsa", b"\1\0\1", bytes(range(1, 65)))


@pytest.mark.parametrize("kind", [("ed25519",), ("rsa", "-b", "2048"), ("ecdsa",)], ids=lambda kind: kind[0])
def test_what_ssh_keygen_makes(tmp_path: Path, kind: tuple[str, ...]) -> None:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "me@there", "-f", tmp_path / "key", "-t", *kind], check=True)
    text = (tmp_path / "key.pub").read_text()
    (found,) = sshkeys.read(text)
    assert found.line == text.strip() and found.key == text.split()[1]
    with pytest.raises(ValueError, match=r"^line 1: a private key; give the public one"):
        sshkeys.read((tmp_path / "key").read_text())


def test_a_file_of_several() -> None:
    options = 'from="192.0.2.0/24,*.example.org",command="say \\"hi there\\"",no-pty'
    text = f"# mine\n\n{options} ssh-ed25519 {ED25519} a comment\n  ssh-rsa\t{RSA}\r\nssh-ed25519 {ED25519} again\n"
    assert sshkeys.read(text) == (
        sshkeys.PublicKey(ED25519, f"{options} ssh-ed25519 {ED25519} a comment"),
        sshkeys.PublicKey(RSA, f"ssh-rsa\t{RSA}"),
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hello", "no public key of OpenSSH"),
        (f"ssh-dss {encoded('ssh-dss', b'1', b'2', b'3', b'4')}", "no public key of OpenSSH"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "no public key of OpenSSH"),
        (f"ssh-ed25519 {ED25519[:-4]}", "damaged: that is no ssh-ed25519 key"),
        (f"ssh-rsa {ED25519}", "damaged: that is no ssh-rsa key"),
        (f"ssh-ed25519 {encoded('ssh-ed25519', bytes(31))}", "damaged: an ssh-ed25519 key has 32 bytes"),
        (f"ssh-ed25519 {ED25519} a\x1b[2Jb", "no public key of OpenSSH"),
        (f"ssh-ed25519 {ED25519} a\udcff", "no public key of OpenSSH"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key; give the public one, of the file that ends with .pub"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "a private key; give the public one, of the file that ends with .pub"),
    ],
)
def test_what_is_none(line: str, why: str) -> None:
    with pytest.raises(ValueError) as raised:
        sshkeys.read(f"ssh-rsa {RSA} fine\n\n{line}\n")
    assert str(raised.value) == f"line 3: {why}"


def test_nothing_at_all() -> None:
    with pytest.raises(ValueError, match="there is no key in it"):
        sshkeys.read("\n# none\n")
