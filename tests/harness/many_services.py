"""The images with fourteen services that apt installed."""

from tests.harness.installation import Vz

# Two web servers and two ssh servers want the same port; that is the administrator's to settle.
PORTS = """#!/bin/sh
sed -i 's/^Listen 80$/Listen 8080/' /etc/apache2/ports.conf
sed -i 's/:80>/:8080>/' /etc/apache2/sites-available/000-default.conf
echo DROPBEAR_PORT=2222 >>/etc/default/dropbear
"""
EVERYWHERE = (
    "ssh", "nginx", "apache2", "cron", "rsyslog", "mariadb", "redis-server", "memcached", "dbus", "dropbear",
    "prometheus-node-exporter",
)  # fmt: skip
SERVICES = {
    "debian-12-services": (*EVERYWHERE, "postgresql@15-main", "php8.2-fpm", "postfix@-"),
    "debian-13-services": (*EVERYWHERE, "postgresql@17-main", "php8.4-fpm", "postfix"),
}


def settle_ports(vz: Vz, ctid: str) -> None:
    """Let nobody want the port of another one, in the stopped container *ctid*."""
    path = f"{vz.prefix}/ports"
    with open(path, "w") as file:
        file.write(PORTS)
    vz.ctl("runscript", ctid, path)


def all_up(vz: Vz, ctid: str, image: str) -> bool:
    """All fourteen are active."""
    names = SERVICES[image]
    said = vz.ctl("exec2", ctid, f"systemctl is-active {' '.join(names)}", check=None).stdout.split()
    if down := [name for name, state in zip(names, said, strict=False) if state != "active"]:
        print(down)
    return said == ["active"] * len(names)
