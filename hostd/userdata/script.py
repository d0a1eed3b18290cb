"""A plan as a script for the shell inside, which keeps a journal of what was done: run again, it goes on.

hostd may be killed while the script runs, and the container stopped or rebooted.  So the next hostd, and the next
start, run the script once more: it waits for one that still runs, leaves out what has been done, does again what was
cut off, or tells of it where it may be done only once.  On its standard output are the failures so far, one a line; all
else goes to the log.
"""

from collections.abc import Iterable
from shlex import quote

from hostd.userdata import shell
from hostd.userdata.plan import Item

LOG = "/var/log/cloud-init-output.log"
ARGV = ("/bin/sh", "-c", 'eval "$(cat)"', "vz-first-boot")  # the script on stdin, of any length, and in no process list
MOST_TOLD = 4096  # bytes on standard output, which a pipe holds: the script waits for nobody who may not read
LONGEST_NAME = 120  # characters of what an item is called, which may be a path of any length

_BEGIN = f"""
journal=/var/lib/vz-first-boot/@ID@ running=/run/vz-first-boot
mkdir -p /var/log && (umask 027; : >>{LOG}) && exec 3>&1 >>{LOG} 2>&1 </dev/null || exit 1
trap : PIPE
umask 022
cd /
export HOME=/root USER=root LOGNAME=root
while read -r other <$running && [ "$other" != $$ ] && grep -q vz-first-boot "/proc/$other/cmdline"; do
    sleep 1
done 2>/dev/null
echo $$ >$running
(umask 077; mkdir -p $journal)
failed=$(cat $journal/failed 2>/dev/null)

fail() {{
    echo "vzhost: FAILED: $1"
    echo "$1" >>$journal/failed
    failed="${{failed:+$failed
}}$1"
}}

# item NUMBER ONCE WHAT: what the function of that number does.
item() {{
    ! grep -qx "$1" $journal/done 2>/dev/null || return 0
    if [ "$2" ] && grep -qx "$1" $journal/begun 2>/dev/null; then
        fail "$3: was cut off, and is not done again"
    elif ! echo "$1" >>$journal/begun; then
        fail "$3: not done: no journal can be kept"
    else
        [ ! "$2" ] || sync $journal/begun
        echo "vzhost: $3"
        why=$(item_$1 3>&- 4>&1 >&2) || fail "$3: ${{why:-code $?}}"
    fi
    echo "$1" >>$journal/done
}}
{shell.FUNCTIONS}
"""
_END = f"""
rm -f $running
[ ! "$failed" ] || echo "$failed" | head -c {MOST_TOLD} >&3
exit 0
"""


def of(plan_id: str, phase: str, items: Iterable[Item]) -> str:
    """The script of the *phase* of a plan that has these *items*."""
    parts = [_BEGIN.replace("@ID@", plan_id)]
    for number, one in enumerate(items, 1):
        name = f"{phase}_{number}"
        parts.append(f"item_{name}() {{\n{one.text}\n}}\n")
        parts.append(f"item {name} {quote('once' if one.once else '')} {quote(_short(one.what))}\n")
    return "".join((*parts, _END))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def forget(plan_id: str) -> str:
    """What removes the journal of a plan."""
    return f"rm -rf /var/lib/vz-first-boot/{plan_id}; rmdir /var/lib/vz-first-boot 2>/dev/null; exit 0"
