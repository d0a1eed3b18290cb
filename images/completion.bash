# bash completion of vzctl, vzlist, vz and the tools beside them.  The tables behind it are made from those of the commands.

# --- the line ---------------------------------------------------------------------------------------------------

# The words up to the cursor, joined again where bash broke them at a colon; of --option=value two words.  `line` are
# those before the cursor, `cur` is the one at it, `broken` the part of it that bash thinks is another word.
_vz_line() {
    local word glue=''
    line=() broken=''
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if [[ $word == '=' && ${line[-1]-} == --* ]]; then
            line+=('') glue=1
        elif [[ $word =~ ^:+$ && ${#line[@]} -gt 0 ]]; then
            line[-1]+=$word glue=1
        elif [[ $glue ]]; then
            line[-1]+=$word glue=''
        else
            line+=("$word")
        fi
    done
    cur=${line[-1]}
    unset 'line[-1]'
    [[ $cur != *:* || $COMP_WORDBREAKS != *:* ]] || broken=${cur%"${cur##*:}"}
}

# --- offers: what begins as what is typed -----------------------------------------------------------------------

# Never through compgen -W, which expands its words: files are called what somebody likes.
_vz_words() {
    local word quoted plain='^[A-Za-z0-9_.,:+/-]*$'
    for word; do
        quoted=$word
        [[ $word =~ $plain ]] || printf -v quoted %q "$word"
        [[ $word == "$cur"* || $quoted == "$cur"* ]] && COMPREPLY+=("${quoted#"$broken"}")
    done
}

# Nothing is put behind the word: it goes on.
_vz_goes_on() { compopt -o nospace 2>/dev/null; }

_vz_free() { :; }

_vz_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_vz_directories() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
}

# The stems of the files that match *glob*, without *suffix*.
_vz_stems() {
    local glob=$1 suffix=$2 path stem
    local -A seen=()
    while IFS= read -r path; do
        stem=${path##*/}
        [[ -e $path ]] && seen[${stem%%$suffix}]=1
    done < <(compgen -G "$glob")
    _vz_words "${!seen[@]}"
}

_vz_templates() {
    local directory=/var/lib/vz/template line
    while IFS= read -r line; do
        [[ $line =~ ^[[:space:]]*TEMPLATE=\"?([^\"]+) ]] && directory=${BASH_REMATCH[1]} && break
    done < <(cat "${VZ_PREFIX-}/etc/vz/vz.conf" 2>/dev/null)
    [[ $directory == "${VZ_PREFIX-}"/* ]] || directory=${VZ_PREFIX-}$directory
    _vz_stems "$directory/cache/*.tar*" '.tar*'
}

_vz_samples() {
    local cur=ve-$cur n
    _vz_stems "${VZ_PREFIX-}/etc/vz/conf/ve-*.conf-sample" .conf-sample
    for n in "${!COMPREPLY[@]}"; do COMPREPLY[n]=${COMPREPLY[n]#ve-}; done
}

# A daemon is asked, and none is started for a question that nobody has typed yet.
_vz_list() { [[ -S ${VZ_PREFIX-}/run/vz/hostd.sock ]] && vzlist -t "$@" 2>/dev/null; }

# Numbers and names; *state* is an option of vzlist.
_vz_containers() {
    local ctid name found=()
    if [[ -S ${VZ_PREFIX-}/run/vz/hostd.sock ]]; then
        while read -r ctid name; do
            found+=("$ctid")
            [[ $name == - ]] || found+=("$name")
        done < <(_vz_list ${1:+"$1"} -Ho ctid,name)
        _vz_words "${found[@]}"
    else
        _vz_stems "${VZ_PREFIX-}/etc/vz/conf/[1-9]*.conf" .conf
        _vz_stems "${VZ_PREFIX-}/etc/vz/names/*" ''
    fi
}

_vz_names() { _vz_stems "${VZ_PREFIX-}/etc/vz/names/*" ''; }

_vz_hostnames() { _vz_words $(_vz_list -aHo hostname); }

_vz_addresses() { _vz_words all $(_vz_list -Ho ip "${container-}"); }

# name:on,name:off
_vz_switches() {
    local before=${cur%"${cur##*,}"} last=${cur##*,} name
    if [[ $last == *:* ]]; then
        name=${last%%:*}
        _vz_words "$before$name:on" "$before$name:off"
    else
        _vz_goes_on
        set -- "${@/#/"$before"}"
        _vz_words "${@/%/:}"
    fi
}

# Several with commas between, none of them twice.
_vz_list_of() {
    local before=${cur%"${cur##*,}"} word fresh=()
    for word; do
        [[ ,$before == *,"$word",* ]] || fresh+=("$before$word")
    done
    _vz_goes_on
    _vz_words "${fresh[@]}"
}

# One, with a minus sign in front or not.
_vz_sort() {
    if [[ $cur == -* ]]; then set -- "${@/#/-}"; fi
    _vz_words "$@"
}

_vz_among() {
    local word=$1 one
    shift
    for one; do [[ $one == "$word" ]] && return; done
    return 1
}

# --- the commands -----------------------------------------------------------------------------------------------

_vzctl() {
    local line cur broken at=1 verb container
    COMPREPLY=()
    _vz_line
    while [[ ${line[at]-} == --* ]]; do ((at++)); done
    verb=${line[at]-} container=${line[at + 1]-}
    if [[ ! $verb ]]; then
        _vz_words "${_vz_commands[@]}"
    elif [[ ! $container ]]; then
        _vz_behind_verb "$verb"
    elif _vz_among "$verb" "${_vz_optional[@]}"; then
        _vz_value "${line[-1]}" || _vz_options "$verb"
    elif ((${#line[@]} == at + 2)); then
        _vz_argument "$verb"
    fi
}

_vzlist() {
    local line cur broken glued option rest
    COMPREPLY=()
    _vz_line
    if [[ ${#line[@]} -gt 1 ]] && option=$(_vz_last_option "${line[-1]}"); then
        _vz_list_value "$option"
    elif glued=$(_vz_glued "$cur"); then
        rest=${cur#"$glued"} option=-${glued: -1}
        cur=$rest _vz_list_value "$option"
        COMPREPLY=("${COMPREPLY[@]/#/"$glued"}")
    elif [[ $cur == -* ]]; then
        _vz_words "${_vz_list_options[@]}"
    else
        _vz_containers -a
    fi
}

# One of the others: an option, its value, or what it is about.
_vz_tool() {
    local line cur broken
    COMPREPLY=()
    _vz_line
    if [[ ${#line[@]} -gt 1 ]] && _vz_tool_value "$1:${line[-1]}"; then
        return
    elif [[ $cur == -* ]]; then
        _vz_tool_options "$1"
    else
        _vz_tool_word "$1"
    fi
}

# The option at the end of a word such as -aHo, if it takes a value that is still to come.
_vz_last_option() {
    local word=$1
    if [[ $word == -[^-]* ]]; then
        [[ $(_vz_glued "$word:") == "$word" ]] || return
        word=-${word: -1}
    fi
    _vz_among "$word" "${_vz_list_taking[@]}" && echo "$word"
}

# The beginning of a word such as -aoctid, up to the letter that takes the rest as its value.
_vz_glued() {
    local word=$1 n
    [[ $word == -[^-]* ]] || return
    for ((n = 1; n + 1 < ${#word}; n++)); do
        if _vz_among "-${word:n:1}" "${_vz_list_taking[@]}"; then
            echo "${word:0:n+1}"
            return
        fi
    done
    return 1
}

complete -F _vzctl vzctl
complete -F _vzlist vzlist
complete -W "start stop restart status" vz
complete -W "--all --batch --count --delay --sort" vztop
complete -W "--listen" vzmetrics

# --- tables -----------------------------------------------------------------------------------------------------
