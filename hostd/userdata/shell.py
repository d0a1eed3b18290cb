"""What is done inside is done by its shell: functions for any Bourne shell, with the tools of coreutils or busybox.

A file is written beside its place and renamed, so nobody meets half of one.
"""

# because REASON: the last line of what is printed says it; always fails.
BECAUSE = 'because() { echo "$1"; return 1; }'

# account USER: sets uid, gid and home of an account.
ACCOUNT = """
account() {
    while IFS=: read -r name _ uid gid _ home _; do
        [ "$name" != "$1" ] || return 0
    done </etc/passwd
    because "there is no user $1"
}
"""

# authorize USER: adds the public keys on stdin (`sshkeys.lines`) that are not there yet.
# What is a link is left alone: neither where it leads nor what stands there must become the user's.
AUTHORIZE = f"""{ACCOUNT}
authorize() (
    account "$1" || exit 1
    keys=$home/.ssh/authorized_keys new=$home/.ssh/authorized_keys.vz
    for link in "$home/.ssh" "$keys"; do
        [ ! -L "$link" ] || because "$link is a symbolic link" || exit 1
    done
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

# The same in a plan, where what is printed goes to the log: descriptor 4 leads to the host.
BECAUSE_IN_A_PLAN = """
because() {
    echo "vzhost: $1"
    echo "$1" >&4
    return 1
}
"""

# make_user NAME SHELL GECOS: one that is there stays as it is.  join_group USER GROUP: a new group is made.
# allow USER: rules of sudo on stdin; a wrong one would lock everybody out.
USERS = """
make_user() {
    ! account "$1" >/dev/null 4>&1 || return 0
    if command -v useradd >/dev/null; then
        useradd -m ${2:+-s "$2"} ${3:+-c "$3"} "$1"
    else
        adduser -D ${2:+-s "$2"} ${3:+-g "$3"} "$1"
    fi
}
join_group() {
    grep -q "^$2:" /etc/group || groupadd "$2" || addgroup "$2" || return
    usermod -a -G "$2" "$1" || addgroup "$1" "$2"
}
allow() (
    rules=/etc/sudoers.d/90-cloud-init-$(echo "$1" | tr . _)
    mkdir -p /etc/sudoers.d && umask 337 && rm -f "$rules.vz" && cat >"$rules.vz" || exit 1
    if command -v visudo >/dev/null && ! visudo -q -c -f "$rules.vz"; then
        rm -f "$rules.vz"
        because "sudo does not understand its rules"
        exit 1
    fi
    mv -f "$rules.vz" "$rules"
)
"""

# set_hashes: USER:HASH lines on stdin.  lock USER: no password lets in.  expire USER: the next login wants a new one.
PASSWORDS = """
set_hashes() {
    command -v usermod >/dev/null || because "the image has no tool for hashed passwords" || return
    chpasswd -e
}
lock() {
    case $(grep "^$1:" /etc/shadow) in "$1:!"* | "$1:*"*) return 0 ;; esac
    usermod -L "$1" || passwd -l "$1"
}
expire() { chage -d 0 "$1" || passwd -e "$1"; }
"""

# put PATH MODE OWNER APPEND: base64 on stdin becomes the file; or is added to it, whose mode and owner then stay.
# execute: base64 on stdin is a program, and is run.
FILES = """
put() {
    mkdir -p "$(dirname "$1")" || return
    [ ! -d "$1" ] || because "it is a directory" || return
    if [ "$4" ] && [ -e "$1" ]; then
        base64 -d >>"$1"
        return
    fi
    rm -f "$1.vz"
    (umask 077; base64 -d >"$1.vz") && chown "$3" "$1.vz" && chmod "$2" "$1.vz" && mv -f "$1.vz" "$1" && return
    rm -f "$1.vz"
    return 1
}
execute() {
    (umask 077; base64 -d >$journal/program) && chmod 700 $journal/program || return
    $journal/program </dev/null 4>&-
    set -- $?
    rm -f $journal/program
    return $1
}
"""

SYSTEM = """
in_timezone() {
    [ -f "/usr/share/zoneinfo/$1" ] || because "the image does not know it" || return
    ln -snf "/usr/share/zoneinfo/$1" /etc/localtime && echo "$1" >/etc/timezone
}
install_packages() {
    command -v apt-get >/dev/null || because "the image has no apt-get" || return
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Retries=1 -o Acquire::http::Timeout=20 update 4>&- ||
        because "no archive can be reached: is there a network, and a name server?" || return
    apt-get -q -y -o Dpkg::Options::=--force-confold install "$@" 4>&- || because "apt-get failed"
}
say() {
    read -r up _ </proc/uptime
    now=$(date)
    printf '%s\\n' "$1" | sed -e "s|\\$uptime|$up|gI; s|\\$timestamp|$now|gI"
}
"""

FUNCTIONS = BECAUSE_IN_A_PLAN + AUTHORIZE + USERS + PASSWORDS + FILES + SYSTEM  # all that a plan may call
