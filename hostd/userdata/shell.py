"""What is done inside is done by its shell: functions for any Bourne shell, with the tools of coreutils or busybox.

A file is written beside its place and renamed, so nobody meets half of one.
"""

import shlex

# account USER: sets uid, gid and home of an account.
ACCOUNT = """
account() {
    while IFS=: read -r name _ uid gid _ home _; do
        [ "$name" != "$1" ] || return 0
    done </etc/passwd
    echo "there is no user $1"
    return 1
}
"""

# authorize USER: adds the public keys on stdin (`sshkeys.lines`) that are not there yet.
# A directory that is a link is left alone: what it leads to must not become the user's.
AUTHORIZE = f"""{ACCOUNT}
authorize() (
    account "$1" || exit 1
    keys=$home/.ssh/authorized_keys new=$home/.ssh/authorized_keys.vz
    [ ! -L "$home/.ssh" ] || {{ echo "$home/.ssh is a symbolic link"; exit 1; }}
    umask 077
    mkdir -p "$home/.ssh" && chmod 700 "$home/.ssh" && rm -f "$new" && : >"$new" || exit 1
    if [ -s "$keys" ]; then
        cat "$keys" >"$new" || exit 1
        [ -z "$(tail -c 1 "$new")" ] || echo >>"$new" || exit 1
    fi
    while read -r key line; do
        grep -v '^ *#' "$new" | grep -qF -e "$key" || printf '%s\\n' "$line" >>"$new" || exit 1
    done
    chown "$uid:$gid" "$home/.ssh" "$new" && mv -f "$new" "$keys"
)
"""

FUNCTIONS = AUTHORIZE  # all that a plan may call


def quoted(text: str) -> str:
    """*text* as one word of the shell's."""
    return shlex.quote(text)
