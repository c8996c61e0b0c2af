"""``matterstack completion SHELL``: print a script with which a shell completes commands, options and runs itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

# What completes an argument or the value of an option: a function of the shell for each of these names.
_KINDS = {"recipe": "recipe", "recipes": "recipe", "run": "run", "other_run": "run", "what": "run"}

_BASH = """\
_matterstack_runs() {
    local run root=${MATTERSTACK_WORKSPACES:-workspaces}
    echo @last; echo @last-failed
    for run in "$root"/*/runs/*/ "$root"/*/*/runs/*/; do
        if [ -d "$run" ]; then run=${run%/}; echo "${run##*/}"; fi
    done 2>/dev/null
}

_matterstack() {
    local cur=${COMP_WORDS[COMP_CWORD]} command= position=0 kind= options= value= word
    for word in "${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
        if [ -n "$value" ]; then value=; continue; fi
        case "$command $word" in
            @commands@) command="${command:+$command }$word"; continue ;;
        esac
        case "$command $word" in
@values@
            *\\ -*) ;;
            *) position=$((position + 1)) ;;
        esac
    done
    case "$command" in
@options@
    esac
    if [ -n "$value" ]; then kind=$value
    elif [ "${cur#-}" != "$cur" ]; then kind=options
    else
        case "$command $position" in
@arguments@
        esac
    fi
    local IFS=$' \\t\\n'
    case "$kind" in
        options) COMPREPLY=($(compgen -W "$options" -- "$cur")) ;;
        words:*) COMPREPLY=($(compgen -W "${kind#words:}" -- "$cur")) ;;
        run) COMPREPLY=($(compgen -W "$(_matterstack_runs)" -- "$cur")) ;;
        recipe) IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$cur" | grep -E '\\.ya?ml$'; compgen -d -S / -- "$cur")) ;;
        file) IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$cur")) ;;
        folder) IFS=$'\\n'; COMPREPLY=($(compgen -d -S / -- "$cur")) ;;
        *) COMPREPLY=() ;;
    esac
    case "${COMPREPLY[*]:-}" in */) compopt -o nospace 2>/dev/null ;; esac
}
complete -F _matterstack matterstack ms
"""
_ZSH = """\
autoload -U +X compinit && compinit -u
autoload -U +X bashcompinit && bashcompinit
"""
_FISH = """\
function __matterstack_runs
    set -l root workspaces
    set -q MATTERSTACK_WORKSPACES; and set root $MATTERSTACK_WORKSPACES
    echo @last; echo @last-failed
    for run in $root/*/runs/*/ $root/*/*/runs/*/
        basename $run
    end
end
function __matterstack_is
    set -l words (commandline -opc)
    set -e words[1]
    set -l command
    for word in $words
        if contains -- "$command $word" @commands@
            set command (string trim -- "$command $word")
        end
    end
    test "$command" = "$argv[1]"
end
complete -c matterstack -f
complete -c ms -w matterstack
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """A command, by the words that lead to it, with what may follow."""

    path: str
    help: str
    options: tuple[click.Option, ...]
    arguments: tuple[click.Argument, ...]
    below: tuple[_Command, ...]

    @property
    def name(self) -> str:
        """Give its last word."""
        return self.path.rpartition(" ")[2]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete the words of matterstack, without asking the program.

    In ~/.bashrc or ~/.zshrc write: eval "$(matterstack completion bash)", or zsh. For fish, put the output into
    ~/.config/fish/completions/matterstack.fish.
    """
    top = _described(context.find_root().command, context.find_root(), "")
    if shell == "fish":
        click.echo("\n".join(_fish(top)))
    else:
        click.echo((_ZSH if shell == "zsh" else "") + _bash(top))


def _described(found: click.Command, context: click.Context, path: str) -> _Command:
    group = found if isinstance(found, click.Group) else None
    names = group.list_commands(context) if group else []
    below = [(name, group.get_command(context, name)) for name in names] if group else []
    return _Command(
        path=path,
        help=found.get_short_help_str(60).rstrip("."),
        options=tuple(param for param in found.get_params(context) if isinstance(param, click.Option)),
        arguments=tuple(param for param in found.params if isinstance(param, click.Argument)),
        below=tuple(_described(one, context, f"{path} {name}".strip()) for name, one in below if one),
    )


def _every(top: _Command) -> Iterator[_Command]:
    yield top
    for one in top.below:
        yield from _every(one)


def _kind(param: click.Parameter) -> str:
    """Give what completes a value: words, runs, recipes, files, folders, or nothing."""
    if isinstance(param.type, click.Choice):
        return f"words:{' '.join(map(str, param.type.choices))}"
    if isinstance(param.type, click.Path):
        return "file" if param.type.file_okay else "folder"
    return _KINDS.get(param.name or "", "none")


def _bash(top: _Command) -> str:
    every = list(_every(top))
    parts = {
        "commands": " | ".join(f'"{_before(one.path)}"' for one in every if one.path),
        "values": "\n".join(
            f'            {" | ".join(_quoted(one.path, name) for name in option.opts)}) value="{_kind(option)}" ;;'
            for one in every
            for option in one.options
            if not option.is_flag
        ),
        "options": "\n".join(f'        "{one.path}") options="{" ".join(_names(one))}" ;;' for one in every),
        "arguments": "\n".join(f"            {line}" for one in every for line in _positions(one)),
    }
    script = _BASH
    for name, lines in parts.items():
        script = script.replace(f"@{name}@", lines)
    return script


def _before(path: str) -> str:
    """Give a path as the loop over the words sees it: the command so far, a blank, and the word."""
    return path if " " in path else f" {path}"


def _quoted(path: str, option: str) -> str:
    return f'"{path} {option}"'


def _names(one: _Command) -> list[str]:
    return [name for option in one.options for name in (*option.opts, *option.secondary_opts)]


def _positions(one: _Command) -> Iterator[str]:
    """Give what completes each argument of a command, and the words below a group."""
    if one.below:
        yield f'"{one.path} 0") kind="words:{" ".join(child.name for child in one.below)}" ;;'
    for place, argument in enumerate(one.arguments):
        pattern = f'"{one.path} "*' if argument.nargs < 0 else f'"{one.path} {place}"'
        yield f'{pattern}) kind="{_kind(argument)}" ;;'


_FISH_KINDS = {
    "run": "-a '(__matterstack_runs)'",
    "recipe": "-a '(__fish_complete_suffix .yaml; __fish_complete_suffix .yml)'",
    "file": "-F",
    "folder": "-a '(__fish_complete_directories)'",
}


def _fish(top: _Command) -> Iterator[str]:
    every = list(_every(top))
    yield _FISH.replace("@commands@", " ".join(f'"{_before(one.path)}"' for one in every if one.path)).rstrip()
    for one in every:
        here = f"complete -c matterstack -n '__matterstack_is \"{one.path}\"'"
        for child in one.below:
            yield f"{here} -a {child.name} -d '{_escaped(child.help)}'"
        for argument in one.arguments[:1]:
            yield f"{here} {_fish_values(argument)}"
        for option in one.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.opts)
            values = (
                ""
                if option.is_flag
                else f" {'-r' if _kind(option) == 'file' else '-x'} {_fish_values(option)}".rstrip()
            )
            yield f"{here} {names}{values} -d '{_escaped(option.help or '')}'"


def _fish_values(param: click.Parameter) -> str:
    kind = _kind(param)
    return f"-a '{kind.removeprefix('words:')}'" if kind.startswith("words:") else _FISH_KINDS.get(kind, "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
