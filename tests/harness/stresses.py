"""What one container does to take all it can get: of each limit, and of what has none."""

from dataclasses import dataclass

FILES, INODES = 4000, 20_000
# Fewer than would fill RAM with inodes that a slow disk has not taken yet: it is the number that runs out.
FEW_INODES = 8000
LIMITS = (
    *("--ram", "48M", "--swap", "32M", "--numproc", "100", "--numpty", "8", "--stop-timeout", "5"),
    *("--numfile", str(FILES), "--numtcpsock", "200", "--numothersock", "200"),
)
FULL = "echo full; exec sleep 1000"
HOG = "head -c 200m /dev/zero | tail"  # which keeps what it reads, up to the end of the line that does not come


@dataclass(frozen=True)
class Stress:
    """*command* says `full` once it has all it can get, and holds it.  *refused*: fields of vzlist that count then;
    *held*: fields that are at least so high.
    """

    name: str
    command: str
    refused: tuple[str, ...] = ()
    held: tuple[tuple[str, int], ...] = ()
    template: str = "busybox"
    inodes: int = INODES

    @property
    def disk(self) -> tuple[str, ...]:
        """What `vzctl create` is given."""
        return "--diskspace", "1G", "--diskinodes", str(self.inodes)


def perl(take: str) -> str:
    """Until one process cannot *take* one $f more, with as many descriptors as it may have."""
    loop = f"while (1) {{ {take} or last; push @kept, $f }}"
    return f"ulimit -n $(ulimit -Hn); exec perl -MSocket -e '$| = 1; {loop} print \"full\\n\"; sleep 1000'"


STRESSES = (
    Stress("processes", f"perl -e 'fork while 1' & {FULL}", refused=("numproc.f",), template="debian-12"),
    Stress("memory", f"head -c 500m /dev/zero | tail; {FULL}", refused=("physpages.f", "swappages.f")),
    Stress(
        "page-cache",
        f"dd if=/dev/zero of=/root/big bs=1M count=100; cat /root/big >/dev/null; {FULL}",
        refused=("physpages.f",),
    ),
    Stress(
        "files",
        perl('open my $f, "<", "/dev/null"'),
        held=(("numfile", FILES),),
        template="debian-12",
    ),
    Stress(
        "inodes",
        f"mkdir /root/many; n=0; while true >/root/many/$n; do n=$((n + 1)); done; {FULL}",
        held=(("diskinodes", FEW_INODES - 500),),
        inodes=FEW_INODES,
    ),
    Stress(
        "terminals",
        perl('open my $f, "+<", "/dev/ptmx"'),
        held=(("numpty", 8),),
        template="debian-12",
    ),
    Stress(
        "sockets",
        perl("socket my $f, AF_UNIX, SOCK_STREAM, 0"),
        held=(("numothersock", FILES - 100),),  # it has other files as well; nobody is asked for such a socket
        template="debian-12",
    ),
    Stress("tcp", perl("socket my $f, AF_INET, SOCK_STREAM, 0"), refused=("numtcpsock.f",), template="debian-12"),
    Stress("udp", perl("socket my $f, AF_INET, SOCK_DGRAM, 0"), refused=("numothersock.f",), template="debian-12"),
    Stress("processor", f"for n in $(seq $(nproc) ; seq $(nproc)); do while :; do :; done & done; {FULL}"),
    Stress("direct-io", f"while dd if=/dev/zero of=/root/big bs=1M count=200 oflag=direct; do :; done & {FULL}"),
    Stress("buffered-io", f"while dd if=/dev/zero of=/root/big bs=1M count=200; do :; done & {FULL}"),
    Stress("console", f"yes all work and no play | head -c 50m >/dev/console; {FULL}"),
)
