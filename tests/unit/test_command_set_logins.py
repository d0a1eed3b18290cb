"""vzctl set and start: passwords and keys."""

from hostd.command.host import StartOptions
from hostd.errors import Failure
from hostd.userdata.logins import Logins
from hostd.userdata.sshkeys import PublicKey
from tests.harness.fake_host import Fake, Said

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
DOWN = "Unable to apply UBC parameters: container is not running\n"


def test_password(fake: Fake) -> None:
    fake.ct(101, "A=1\n")
    assert fake.ctl("set", "101", "--userpasswd", "root:a:b") == Said(0, "", "")
    assert fake.host.calls == [("set_logins", 101, Logins({"root": "a:b"}))]
    assert fake.ctl("set", "101", "--userpasswd", "root:x", "--onboot", "yes") == Said(31, "", DOWN)
    said = fake.ctl("set", "101", "--userpasswd", "secret")
    assert said.code == 21 and "must be USER:PASSWORD" in said.stderr
    assert "x" not in fake.conf(101)
    fake.host.failure = Failure(74, "Password change failed")
    assert fake.ctl("set", "101", "--userpasswd", "root:x") == Said(74, "", "Password change failed\n")


def test_a_password_is_never_printed(fake: Fake) -> None:
    fake.ct(101)
    said = fake.ctl("set", "101", "--userpasswd", "root:geheim\nx")
    assert said.code == 21 and "geheim" not in said.stderr


def test_keys(fake: Fake) -> None:
    """Of a stopped container without --save as well, and none is printed or stored."""
    fake.ct(101, "A=1\n")
    path = f"{fake.session.cwd}/key.pub"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"ssh-ed25519 {KEY} me\n")
    assert fake.ctl("set", "101", "--sshkey", "key.pub", "--sshkey", path) == Said(0, "", "")
    key = PublicKey(KEY, f"ssh-ed25519 {KEY} me")
    assert fake.host.calls == [("set_logins", 101, Logins(keys=(key,)))]
    assert fake.ctl("set", "101", "--sshkey", path, "--onboot", "yes") == Said(31, "", DOWN)
    fake.host.failure = Failure(74, "Keys were not added: no space")
    assert fake.ctl("set", "101", "--sshkey", path) == Said(74, "", "Keys were not added: no space\n")
    assert fake.conf(101) == "A=1\n"


def test_keys_of_a_start(fake: Fake) -> None:
    fake.ct(101)
    with open(f"{fake.session.cwd}/key.pub", "w", encoding="ascii") as file:
        file.write("# none\n")
    text = "Bad parameter for --sshkey: key.pub: there is no key in it\n"
    assert fake.ctl("start", "101", "--sshkey", "key.pub") == Said(21, "", text) and fake.asked() == []
    with open(f"{fake.session.cwd}/key.pub", "a", encoding="ascii") as file:
        file.write(f"ssh-ed25519 {KEY} me\n")
    assert fake.ctl("start", "101", "--sshkey", "key.pub").code == 0
    assert fake.host.calls[-1][2] == StartOptions(ssh_keys=(PublicKey(KEY, f"ssh-ed25519 {KEY} me"),))


def test_several_passwords(fake: Fake) -> None:
    fake.ct(101)
    fake.ctl("set", "101", "--userpasswd", "ann:a", "--userpasswd", "bob:b:c")
    assert fake.host.calls == [("set_logins", 101, Logins({"ann": "a", "bob": "b:c"}))]


def test_a_login_belongs_to_the_change_that_it_is_typed_with(fake: Fake) -> None:
    """So what was changed is taken back when it fails; alone it is a matter of its own, of a stopped one as well."""
    fake.up(101, "A=1\n")
    fake.ctl("set", "101", "--userpasswd", "ann:a", "--numproc", "9")
    assert fake.asked() == ["apply"] and fake.host.changes[0].logins == Logins({"ann": "a"})
    fake.ctl("set", "101", "--userpasswd", "ann:a")
    assert fake.asked() == ["apply", "set_logins"]
    fake.host.failure = Failure(74, "Password change failed")
    said = fake.ctl("set", "101", "--userpasswd", "ann:a", "--numproc", "9", "--save")
    text = "Password change failed\nError: failed to apply some parameters, not saving configuration file!\n"
    assert said == Said(74, "", text) and fake.conf(101) == "A=1\n"


def test_a_disk_gets_its_size_back_when_a_login_fails(fake: Fake) -> None:
    fake.ct(101, 'DISKSPACE="1048576:1048576"\n')
    argv = ("set", "101", "--diskspace", "2G", "--userpasswd", "ann:a", "--save")
    fake.host.failure, fake.host.failing = Failure(74, "Password change failed"), "set_logins"
    assert fake.ctl(*argv).code == 74
    two, one = 2 * 1048576, 1048576
    login = ("set_logins", 101, Logins({"ann": "a"}))
    assert fake.host.calls == [("resize", 101, (two, two)), login, ("resize", 101, (one, one))]
    assert fake.conf(101) == 'DISKSPACE="1048576:1048576"\n'
