"""The scripts by which shells, and kubectl, ask for completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BASH: Final = """\
# bash completion of kubectl-dataflow: source it, or put it into /etc/bash_completion.d
_kubectl_dataflow() {
    local line directive=0 cut="" current="${COMP_WORDS[COMP_CWORD]}"
    # bash parts words at "=", and replaces only what stands after it.
    [[ "$current" == "=" ]] && current=""
    local words=() each
    for each in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && ( "$each" == "=" || "${words[-1]}" == --*= ) ]]; then words[-1]+="$each"; else words+=("$each"); fi
    done
    [[ "${words[-1]}" == --*=* ]] && cut="${words[-1]%%=*}="
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ "$line" == :* ]]; then directive="${line#:}"; else line="${line%%$'\\t'*}"; COMPREPLY+=("${line#"$cut"}"); fi
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
    if [[ "$directive" == 0 && ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
    fi
}
complete -F _kubectl_dataflow kubectl-dataflow
"""

ZSH: Final = """\
#compdef kubectl-dataflow
# zsh completion of kubectl-dataflow: put it as _kubectl-dataflow into a folder of $fpath
_kubectl_dataflow() {
    local line directive=0
    local -a found
    while IFS= read -r line; do
        if [[ "$line" == :* ]]; then
            directive="${line#:}"
        elif [[ "$line" == *$'\\t'* ]]; then
            found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
        else
            found+=("${line//:/\\\\:}")
        fi
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    _describe 'kubectl dataflow' found
    [[ "$directive" == 0 && ${#found} -eq 0 ]] && _files
    return 0
}
if [[ "$funcstack[1]" == "_kubectl-dataflow" ]]; then _kubectl_dataflow "$@"; else compdef _kubectl_dataflow kubectl-dataflow; fi
"""

FISH: Final = """\
# fish completion of kubectl-dataflow: put it into ~/.config/fish/completions/kubectl-dataflow.fish
function __kubectl_dataflow_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null | string match -v -r '^:[0-9]+$'
end
complete -c kubectl-dataflow -f -a '(__kubectl_dataflow_complete)'
complete -c kubectl-dataflow -F -s f -l filename -l against -l kubeconfig -l file
"""

KUBECTL: Final = """\
#!/bin/sh
# kubectl asks this program what may follow `kubectl dataflow …`: it must be on PATH as kubectl_complete-dataflow
exec kubectl-dataflow __complete "$@"
"""

_SCRIPTS: Final[Mapping[str, str]] = {"bash": BASH, "zsh": ZSH, "fish": FISH, "kubectl": KUBECTL}


def script_of(shell: str) -> str:
    """Return the script for a shell."""
    return _SCRIPTS[shell]
