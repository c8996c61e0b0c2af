"""Write what a job runs: claim the attempt's directory once and for all, run the step, leave how it ended.

The job's script is the same for every step. What the step runs lies in a file of its own beside it, so that nothing
which a recipe or a wiring says can change how an attempt is claimed and ended.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from orchestrator.errors import ScriptletError
from orchestrator.layout import EXIT_CODE, OWN, STDERR, STDOUT
from orchestrator.operators.slurm.directives import Demand, directives
from orchestrator.operators.slurm.names import CLAIM, EXIT, FOLDERS, PAYLOAD, SECRETS, of_turn

# What a job ends with that finds its attempt claimed by another one.
DUPLICATE = 75

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALONE = "job=$SLURM_JOB_ID\n"
_OF_ARRAY = f"""\
job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
folder=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {FOLDERS})
test -n "$folder" && cd -- "$folder" || exit 1
"""
# Slurm sends CONT right before each signal; where bash catches that one, it loses the other.
_PASSED_ON = ("USR1", "USR2", "TERM", "INT", "HUP")
# A shell of its own waits for the step, as what `wait` tells is not sure where signals come close together. Bash gives
# the step the signals that it ignores for what runs in the background; other shells do not. Where its file cannot be
# written, as on a full disk, what `wait` tells is all there is.
_SCRIPT = """\
restart=${{SLURM_RESTART_COUNT:-0}}
mine="$job $restart"
draft={own}/.claim.$job.$restart
if test ! -s {claim}; then
  echo "$mine" > "$draft" || exit 1
  ln "$draft" {claim} 2>/dev/null || (set -C; cat "$draft" > {claim}) 2>/dev/null
fi
read -r holder < {claim} || exit 1
case $holder in
"$mine") ;;
"$job "*) echo "$mine" > "$draft" && mv -f "$draft" {claim} || exit 1 ;;
*) rm -f "$draft"; exit {duplicate} ;;
esac
rm -f "$draft" {exit_code} {exit} {own}/pid {own}/.exit_code
test ! -s {stdout} || mv -f {stdout} "{own}/stdout.before.$job.$restart"

told= code=1
tell() {{
  told="$told $1"
  test -s {own}/.exit_code || kill -s "$1" "$(cat {own}/pid)" 2>/dev/null
}}
for signal in {signals}; do
  trap "tell $signal" "$signal"
done
(
  trap - QUIT
  trap : {signals}
  {shell} "$PWD/{payload}" "$PWD" 3> {stdout} >> {stderr} 2>&1 < /dev/null
  code=$?
  echo "$code" > {own}/.exit_code
  exit "$code"
) 2>/dev/null &
while test ! -s {own}/.exit_code && kill -0 "$!" 2>/dev/null; do
  wait "$!"
  code=$?
  test "$code" = 0 || sleep 0.1 2>/dev/null || sleep 1
done
read -r noted < {own}/.exit_code && code=$noted

printf '{{"job": "%s", "restart": %s, "signals": "%s", "exit_code": %s}}\\n' \\
  "$job" "$restart" "$told" "$code" > {own}/.exit
mv -f {own}/.exit_code {exit_code}
mv -f {own}/.exit {exit}
test -n "$told" || rm -f {secrets}
exit "$code"
"""
# Until the step itself begins, what is printed goes to stderr.
_PAYLOAD = """\
cd -- "$1" || exit 1
matterstack_folder=$PWD
set --
echo "$$" > {own}/pid
{setup}
case $? in 0) ;; *) echo "slurm.setup of operators.yaml ended with $?" >&2; exit 1 ;; esac
{{ set +xv; }} 2>/dev/null
cd -- "$matterstack_folder" || exit 1
exec 1>&3 3>&-
test ! -f {secrets} || . ./{secrets}
{exports}exec {command}
"""


def job_script(demand: Demand, *, is_array: bool = False, needs_login: bool = False, turn: int = 0) -> str:
    """Give the script of a job, or of an array of jobs that find their directories by their numbers.

    It starts in the directory that it is submitted from. A duplicate of it touches nothing and ends with `DUPLICATE`.
    With ``needs_login``, the step's shell first reads what a login does, as ``module`` needs. ``turn`` counts how often
    the attempt was continued. Raises `ScriptletError` for a value that would be more than a value.
    """
    options = "".join(f"#SBATCH {option}\n" for option in directives(demand))
    body = _SCRIPT.format(
        own=OWN,
        claim=of_turn(CLAIM, turn),
        exit=of_turn(EXIT, turn),
        duplicate=DUPLICATE,
        exit_code=EXIT_CODE,
        stdout=STDOUT,
        stderr=STDERR,
        payload=PAYLOAD,
        secrets=SECRETS,
        signals=" ".join(_PASSED_ON),
        shell="bash -l" if needs_login else "sh",
    )
    return f"#!/bin/bash\n{options}{_OF_ARRAY if is_array else _ALONE}{body}"


def payload(argv: Sequence[str], env: Mapping[str, str], setup: str = "") -> str:
    """Give what the job runs: the wiring's setup, the step's variables, and the step's command in place of the shell.

    Raises `ScriptletError` for a variable or an argument that no program can get.
    """
    command = " ".join(_quoted(word, "run") for word in argv)
    return _PAYLOAD.format(own=OWN, setup=setup, secrets=SECRETS, exports=exports(env), command=command)


def exports(env: Mapping[str, str]) -> str:
    """Give shell text that sets variables; raise `ScriptletError` for a name or value that no variable has."""
    return "".join(f"export {_name(name)}={_quoted(value, f'env.{name}')}\n" for name, value in env.items())


def folder_list(folders: Sequence[str]) -> str:
    """Give the file in which the jobs of an array find their directories; raise `ScriptletError` for a line break."""
    for folder in folders:
        if not folder.startswith("/") or "\n" in folder or "\0" in folder:
            hint = "give the wiring another workspace_root"
            raise ScriptletError(f"{folder!r} is no absolute directory for a job", hint=hint, code="MS214")
    return "".join(f"{folder}\n" for folder in folders)


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        hint = "use letters, digits and '_' alone"
        raise ScriptletError(f"env: {name!r} is no name of a variable", hint=hint, code="MS106")
    return name


def _quoted(text: str, place: str) -> str:
    if "\0" in text:
        raise ScriptletError(f"{place}: no program can get a text with a zero byte", hint="remove it", code="MS106")
    return shlex.quote(text)
