"""A step's file is found without importing anything, and nothing outside the project is ever reached."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from orchestrator.catalog import Project, file_sha256, find_module, find_script, read_project
from orchestrator.errors import InvalidFileError, ScriptletError
from orchestrator.paths import package_root

STEP = "from orchestrator import BaseScriptlet\n\nclass Relax(BaseScriptlet):\n    pass\n"
TRAP = f"{STEP}\nraise SystemError('imported')\n"


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Give a project with a step of its own, a step beside its recipe, and secrets outside."""
    root = tmp_path / "lab"
    (root / "scriptlets" / "steps").mkdir(parents=True)
    (root / "recipes").mkdir()
    (root / "scriptlets" / "steps" / "relax.py").write_text(STEP)
    (root / "recipes" / "relax.py").write_text(STEP)
    (root / "recipes" / "run.sh").write_text("echo\n")
    (tmp_path / "outside.py").write_text(STEP)
    return Project(recipe_folder=root / "recipes", root=root)


def refusal(project: Project, module: str, class_name: str = "Relax") -> ScriptletError:
    """Look for a module that must not be found, and give the error."""
    with pytest.raises(ScriptletError) as caught:
        find_module(project, module, class_name)
    return caught.value


def test_a_dotted_name_is_found_in_the_project(project: Project) -> None:
    """With the digest of its file and the name of its class."""
    found = find_module(project, "scriptlets.steps.relax", "Relax")

    assert found.path == project.root / "scriptlets" / "steps" / "relax.py"
    assert found.sha256 == sha256(STEP.encode()).hexdigest()
    assert found.class_name == "Relax"


def test_a_shipped_step_is_found_from_any_project(project: Project) -> None:
    """Unless the project has its own of that name."""
    found = find_module(project, "scriptlets.steps.compute_median", "ComputeMedian")

    assert found.path == package_root() / "scriptlets" / "steps" / "compute_median.py"


def test_a_file_is_found_beside_its_recipe(project: Project) -> None:
    """By its path relative to the recipe."""
    assert find_module(project, "./relax.py", "Relax").path == project.recipe_folder / "relax.py"


def test_nothing_is_imported(project: Project) -> None:
    """A module with a side effect is only read."""
    (project.recipe_folder / "trap.py").write_text(TRAP)

    assert find_module(project, "./trap.py", "Relax").class_name == "Relax"


@pytest.mark.parametrize(
    "module",
    [
        "os",
        "subprocess",
        "builtins",
        "orchestrator.runner",
        "scriptlets_evil.steps.relax",
        "scriptlets",
        "scriptlets..steps",
        "scriptlets.steps.relax.__class__.x y",
        "scriptlets/steps/relax",
        "scriptlets.stеps.relax",  # noqa: RUF001  the Cyrillic letter is the point
        "",
        "scriptlets.\n",
    ],
)
def test_other_names_are_not_allowed(project: Project, module: str) -> None:
    """Whole parts are compared, letter by letter."""
    error = refusal(project, module)

    assert error.code == "MS205"
    assert error.message == f"module {module!r} is not allowed; allowed: scriptlets.*"


@pytest.mark.parametrize("module", ["../../outside.py", "../scriptlets/steps/relax.py", "link.py"])
def test_a_path_stays_below_the_folder_of_its_recipe(project: Project, module: str) -> None:
    """Neither upward nor through a symbolic link."""
    (project.recipe_folder / "link.py").symlink_to(project.root.parent / "outside.py")

    error = refusal(project, module)

    assert error.code == "MS205"
    assert "leads out of the project" in error.message


def test_an_absolute_path_stays_below_the_folder_of_its_recipe(project: Project) -> None:
    """Wherever the file is."""
    error = refusal(project, str(project.root.parent / "outside.py"))

    assert error.code == "MS205"


def test_a_dotted_name_does_not_lead_out_through_a_link(project: Project) -> None:
    """A link within the project is no way out."""
    (project.root / "scriptlets" / "steps" / "link.py").symlink_to(project.root.parent / "outside.py")

    assert refusal(project, "scriptlets.steps.link").code == "MS205"


def test_a_missing_module_suggests_its_neighbour(project: Project) -> None:
    """The name that was probably meant."""
    error = refusal(project, "scriptlets.steps.relaks")

    assert error.code == "MS206"
    assert error.hint == "did you mean 'scriptlets.steps.relax'?"


def test_a_missing_file_says_where_was_looked(project: Project) -> None:
    """The full path, to be compared with what is there."""
    error = refusal(project, "./none.py")

    assert error.message == "module file './none.py' is not there"
    assert error.hint == f"looked for {project.recipe_folder / 'none.py'}"


def test_a_missing_class_suggests_another(project: Project) -> None:
    """Only what the file itself defines counts."""
    error = refusal(project, "./relax.py", "Relaks")

    assert error.code == "MS206"
    assert error.hint == "did you mean 'Relax'?"
    assert refusal(project, "./relax.py", "BaseScriptlet").code == "MS206"


NESTED = ["x = " + "(" * 500, f"x = {'-' * 100_000}1", f"x = {'1 + ' * 100_000}1"]


@pytest.mark.parametrize("text", ["class Relax(", "\0", "class Relax: \xff", *NESTED])
def test_a_file_that_is_no_python_is_refused(project: Project, text: str) -> None:
    """The parser's complaint is passed on."""
    (project.recipe_folder / "bad.py").write_bytes(text.encode("latin-1"))

    error = refusal(project, "./bad.py")

    assert error.code == "MS206"
    assert "bad.py is not valid Python: " in error.message


def test_a_file_of_which_python_warns_is_one(project: Project) -> None:
    """Whoever imports it is warned, not whoever plans."""
    (project.recipe_folder / "regex.py").write_text(f'{STEP}\nDIGIT = "\\d"\n')

    assert find_module(project, "./regex.py", "Relax").class_name == "Relax"


def test_a_changed_file_is_read_again(project: Project) -> None:
    """Its digest and classes are those of now."""
    path = project.recipe_folder / "relax.py"
    before = file_sha256(path)

    path.write_text(STEP.replace("Relax", "Anneal"))

    assert file_sha256(path) != before
    assert find_module(project, "./relax.py", "Anneal").class_name == "Anneal"


def test_settings_allow_other_modules(project: Project) -> None:
    """A project lists what its recipes may load."""
    (project.root / "lab_steps").mkdir()
    (project.root / "lab_steps" / "relax.py").write_text(STEP)
    (project.root / "matterstack.toml").write_text('[allow]\nmodules = ["lab_steps.*"]\n')

    widened = read_project(project.recipe_folder, project.root)

    assert find_module(widened, "lab_steps.relax", "Relax").class_name == "Relax"
    assert refusal(widened, "scriptlets.steps.relax").code == "MS205"


def test_without_settings_the_scriptlets_are_allowed(project: Project) -> None:
    """The default needs no file."""
    assert read_project(project.recipe_folder, project.root) == project


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[allow", "matterstack.toml: "),
        ("allow = 3", r"\[allow\] modules is not a list of names"),
        ('[allow]\nmodules = "scriptlets.*"', r"\[allow\] modules is not a list of names"),
        ("[allow]\nmodules = [1]", r"\[allow\] modules is not a list of names"),
        ("# \xff", "matterstack.toml: 'utf-8' codec can't decode"),
    ],
)
def test_wrong_settings_are_refused(project: Project, text: str, message: str) -> None:
    """They are never taken for the default."""
    (project.root / "matterstack.toml").write_bytes(text.encode("latin-1"))

    with pytest.raises(InvalidFileError, match=message):
        read_project(project.recipe_folder, project.root)


def test_a_script_is_found_beside_its_recipe(project: Project) -> None:
    """First there, then in the project, then among those that ship."""
    assert find_script(project, "run.sh").path == project.recipe_folder / "run.sh"
    assert find_script(project, "recipes/run.sh").path == project.root / "recipes" / "run.sh"
    shipped = find_script(project, "scriptlets/shell/sanitize_csv.sh")
    assert shipped.path == package_root() / "scriptlets" / "shell" / "sanitize_csv.sh"
    assert shipped.class_name == ""


@pytest.mark.parametrize(
    ("script", "code"),
    [("none.sh", "MS206"), ("/bin/sh", "MS205"), ("../../outside.py", "MS205"), (".", "MS206"), ("a\0b", "MS206")],
)
def test_other_scripts_are_refused(project: Project, script: str, code: str) -> None:
    """Missing ones, folders, and all that lies outside."""
    with pytest.raises(ScriptletError) as caught:
        find_script(project, script)

    assert caught.value.code == code
