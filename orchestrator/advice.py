"""Say for every error code what to do; the page of error codes shows the same."""

from __future__ import annotations

import re

ADVICE = {
    "MS001": (
        "A fault of MatterStack's own. Report it with the crash file that the message names; runs are "
        "safe and can be resumed."
    ),
    "MS002": (
        "Read the hint: an option, a name or a combination does not exist or is not allowed. `--help` shows what does."
    ),
    "MS003": "Name at least one step that `--only`, `--skip` and `--resume-from` leave.",
    "MS004": ("Give an id, or a longer beginning of one, as `matterstack runs` lists them; or `--workspaces-dir`."),
    "MS005": "Nothing: go on with `matterstack resume`.",
    "MS006": (
        "Give the run more `timeout`, or find out which step takes so long: `matterstack status` shows "
        "how long each took."
    ),
    "MS101": "Write the key that the hint suggests, or remove it. [Recipes](recipe.md) lists all.",
    "MS102": "Keep one of the two.",
    "MS103": "Mend the YAML at the caret. Texts with `: ` or `#` need quotes, or a block after `|`.",
    "MS104": "Write it plainly: no tags, merge keys, second documents or keys that are not text.",
    "MS105": "Write numbers within ±(2^53-1) and no NaN or infinity; put other texts in quotes.",
    "MS106": "Write what the message expects, in the form that the hint shows.",
    "MS107": "Add the key.",
    "MS108": "Check the path; name a regular file of UTF-8 text, not a link or a folder.",
    "MS109": "Make the file smaller: large tables go into files of their own.",
    "MS201": (
        "Use the letters that the hint lists. Names become folders, and some variables change which code is loaded."
    ),
    "MS202": "Give each step or case a name of its own.",
    "MS203": "Write the name of a step of this recipe.",
    "MS204": ("Remove one of the dependencies that the message lists, or one of the recipes that use one another."),
    "MS205": "Keep the file below the recipe's folder, or [allow the module](settings.md#matterstacktoml).",
    "MS206": "Check the spelling; the hint says where it was looked for.",
    "MS207": "Mend the [expression](expressions.md) at the caret.",
    "MS208": (
        "Do what the hint says instead; [these keys](recipe.md#refused-for-now) are not executed in this version."
    ),
    "MS209": "Give the input with `--set name=value`, of the type that the recipe declares.",
    "MS210": "Number the steps in the order in which they run, or leave `idx` out.",
    "MS211": "Set it where the recipe reads it; keep it out of what the step writes.",
    "MS213": "Give the params that 'matterstack scriptlets show' lists.",
    "MS214": "Write keys as `kind.name`, and in [operators.yaml](operators.md) what each of them means here.",
    "MS216": (
        "Add `operator_key` to the step, or leave the key out: [a step that the runner runs itself]"
        "(recipe.md#steps-that-an-operator-carries-out) has no directory of its own."
    ),
    "MS215": (
        "Leave `--operators-config` out, or add `--force-wiring-override`; where the run's snapshot was changed, put "
        "back what [it recorded](operators.md#what-a-run-keeps), or let `matterstack resume RUN "
        "--force-wiring-override` write it anew."
    ),
    "MS212": "Mend it at the place shown; 'matterstack stub record' writes such files.",
    "MS217": (
        "Raise [`budget.core_hours`](recipe.md#budget), or let the steps ask for fewer cores, less time or fewer "
        "items; `matterstack plan` shows what each asks for."
    ),
    "MS218": "Add `resources: {time_limit: 1h}` to the step, or to `defaults`, or leave `budget` out.",
    "MS219": (
        "Name more `approvers` in the [wiring](operators.md#operatorsyaml), or let the step ask for fewer "
        "`approvals`; with `separation_of_duty`, who starts the run is none of them."
    ),
    "MS220": (
        "Put what the step needs into its own file, or into modules that it imports by their names from the project's "
        "root: these [travel with it](slurm.md#what-a-python-step-may-import)."
    ),
    "MS301": (
        "Look at the reason and the last lines of standard error; `matterstack attempts RUN TASK "
        "--stderr` has all of them."
    ),
    "MS302": "Compare the values in the message with the rule under the caret: one of the two is wrong.",
    "MS303": ("Print the envelope as the only line on standard output, logs to standard error, or set `stdout: free`."),
    "MS304": "Give the step more time with `timeout`, or find out what it waits for.",
    "MS305": "Read the reason; the class must derive from `BaseScriptlet` and its file must import.",
    "MS306": "Ask with `has(…)` or `get(…)` where a value may be missing; check the steps before.",
    "MS307": "Resume with `--accept-recipe-change`, or begin a new run with `run --new`.",
    "MS308": "Let one depend on the other, write two keys, or set `on_conflict: last_write_wins`.",
    "MS309": "Raise `repeat.max`, or see why `repeat.until` stays false.",
    "MS310": (
        "Raise `budget.core_hours` in the recipe, then `matterstack retry RUN --accept-recipe-change`: "
        "what succeeded is kept."
    ),
    "MS401": ("Name keys like `area.name_v1`: letters, digits, `_` and `-` between dots, no `_` at the beginning."),
    "MS402": (
        "Write strings, numbers, booleans, null, lists and dicts with text keys; the message names the "
        "place inside the value."
    ),
    "MS501": "Restore the run directory from a backup, or begin a new run. The file was left as it is.",
    "MS502": "Use a newer MatterStack. The file was left as it is.",
    "MS503": (
        "Wait for the other runner; `matterstack status` shows the run. Add `--takeover` when its "
        "machine is dead and has been silent for 30 seconds."
    ),
    "MS504": "Nothing: the other runner goes on, and this one wrote nothing more.",
    "MS505": "Choose a local `--workspaces-dir`, or add `--allow-network-fs`.",
    "MS507": (
        "Put the file back as it was, or accept it with `--allow-missing`; "
        "[the evidence](evidence.md#files-of-attempts) says which it is."
    ),
    "MS508": (
        "End the program that has the file open for writing, such as an `sqlite3` shell, a backup or a command that "
        "was stopped with Ctrl-Z; then run the command again. What was recorded before is there."
    ),
    "MS506": (
        "The reason says what is in the way. Read the run with `status`, `attempts`, `logs` and `explain`; to go on, "
        "write its steps as a recipe and run that; [older runs](older-runs.md#going-on) says how."
    ),
    "MS601": "Check space, owner and permissions of what the message names, then run the command again.",
    "MS602": "See that the [instrument](instruments.md) is on and its driver answers; it is asked again until it does.",
    "MS603": (
        "Make the [`shared_folder`](operators.md#people-who-are-other-users) as the hint says: its group is that of "
        "the people who may answer, and it has the mode 3770."
    ),
    "MS604": (
        "Install the program, make it executable, or mend the `command` of the "
        "[instrument](instruments.md#by-a-driver-program) in `operators.yaml`; "
        "`matterstack operators check` looks for it."
    ),
    "MS701": "Advice: `matterstack upgrade RECIPE --write` writes `schema` and what goes with it.",
    "MS702": "Advice: mend the name, or the step that should write it; ask with `has(…)` where it may be missing.",
    "MS703": "Advice: write keys like `area.name_v1`, so that two recipes, or two versions of one, do not mix up.",
    "MS704": "Advice: remove what nothing reads, or read it.",
    "MS705": "Advice: put texts such as `no` in quotes, and write numbers without a leading zero.",
    "MS706": "Advice: list the file under `cache.files`, so that a change of it is seen.",
    "MS707": "Advice: let one step depend on the other, write two keys, or set `on_conflict: last_write_wins`.",
    "MS708": "Advice: declare it under [`secrets`](recipe.md#secrets).",
    "MS801": "See the reason: a site that is away is asked again by itself, nothing was begun there.",
    "MS802": (
        "Nothing: what was asked for is looked up when the site answers again, and done again only where it "
        "was not done."
    ),
    "MS803": "Nothing, as after `MS802`. Where it happens often, the site is overloaded: ask it less often.",
    "MS804": (
        "See that the user, the key and the permissions of its file are right: log in by hand with `ssh`. It "
        "is not tried again until you go on with `matterstack resume`."
    ),
    "MS805": ("Log in on a terminal, or add the key to an agent with `ssh-add`, then go on with `matterstack resume`."),
    "MS806": (
        "Compare the fingerprint with the one that the site publishes, then trust it with the command that "
        "the hint shows."
    ),
    "MS807": (
        "Ask the site whether its key was replaced. If it was, remove the old one as the hint shows, trust "
        "the new one, and go on with `matterstack resume`; if not, somebody may be listening."
    ),
    "MS808": (
        "See the reason: space, permissions or a name at the site. Nothing half-sent stays under its final name."
    ),
}

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def advice(code: str) -> str:
    """Give what to do about an error, for a terminal: without the links that the page has."""
    return _LINK.sub(r"\1", ADVICE[code])
