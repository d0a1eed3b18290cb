"""python -m images.completion DIR: bash completion of vzctl and vzlist, from the tables of the commands."""

import os
import sys

from hostd.command.usage import completion_words
from images.deploy import write

HEAD = """# bash completion of vzctl and vzlist; made from the table of commands
_vz_containers() {
    vzlist -aH -o ctid,name 2>/dev/null | awk '{ print $1 } $2 != "-" { print $2 }'
}

_vzctl() {
    local word verb='' at=0 cur=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if [[ $word != -* ]]; then verb=$word; break; fi
    done
    if [[ -n $verb && $COMP_CWORD -eq $((at + 1)) && $verb != check ]]; then
        COMPREPLY=($(compgen -W "$(_vz_containers)" -- "$cur"))
        return
    fi
    case $verb in
"""
TAIL = """    esac
}

complete -o default -F _vzctl vzctl
complete -W '-a -S -n -o -H -1 -t -j -s -h -N -d -L --all --stopped --name --output --no-header --no-trim
    --json --sort --hostname --name_filter --description --list --help' vzlist
"""


def script(words: dict[str, list[str]]) -> str:
    """The script; *words* gives what may follow each command ("" for no command yet)."""
    cases = []
    for verb, options in sorted(words.items()):
        label = verb or "''"
        choice = " ".join(dict.fromkeys(options))
        cases.append(f"    {label}) COMPREPLY=($(compgen -W '{choice}' -- \"$cur\")) ;;\n")
    return HEAD + "".join(cases) + TAIL


def main(directory: str) -> None:
    text = script(completion_words())
    for name in ("vzctl", "vzlist"):  # bash looks a command's completion up by its name
        write(os.path.join(directory, name), text)


if __name__ == "__main__":
    main(sys.argv[1])
