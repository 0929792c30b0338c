"""What is handed out: it works, and holds no answers. And what lets people start at once: it names what exists."""

import ast
import base64
import hashlib
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from scheduler.cli.failures import Misused
from scheduler.config import Settings
from scheduler.server import METRICS_PORT as API_METRICS_PORT
from scheduler.worker.service import METRICS_PORT as WORKER_METRICS_PORT

from tests.chapters.test_proofs import _function, _runs_of_three, _squeeze
from tests.patience import SECONDS
from tests.workbook.books import REPOSITORY
from workbook import export, skeletons
from workbook.book import Chapter, chapters

WORKFLOW = REPOSITORY / ".github" / "workflows" / "classroom.yml"
CONTAINER = REPOSITORY / ".devcontainer" / "devcontainer.json"
SETTINGS = REPOSITORY / ".vscode" / "settings.json"
EXTENSIONS = REPOSITORY / ".vscode" / "extensions.json"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for students."""
    folder = tmp_path_factory.mktemp("export") / "a hand out"
    export.export(students=str(folder), force=False)
    return folder


@pytest.fixture(scope="module")
def installed(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has put the copy's wheel."""
    target = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(target),
    ]
    subprocess.run([*command, str(_wheel(copy))], check=True)
    return target


def _wheel(copy: Path) -> Path:
    (wheel,) = (copy / "vendor").iterdir()
    return wheel


def _python(copy: Path, installed: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python as a student does: with the copy and its wheel, and nothing of this repository's."""
    env = {
        name: value for name, value in os.environ.items() if name not in ("WORKBOOK_ROOT", "PYTEST_ADDOPTS")
    }
    env |= {
        "PYTHONPATH": f"{copy}{os.pathsep}{installed}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        "COLUMNS": "80",
        "SCHEDULER_DATA": str(REPOSITORY / ".data"),
    }
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=copy, env=env, capture_output=True, encoding="utf-8", timeout=SECONDS, check=False
    )


def _texts(copy: Path) -> dict[Path, str]:
    paths = [path for path in copy.rglob("*") if path.is_file() and path.suffix != ".whl"]
    return {
        path.relative_to(copy): path.read_text("utf-8") for path in paths if "__pycache__" not in path.parts
    }


def test_no_file_of_answers_is_handed_out(copy: Path) -> None:
    names = {path.as_posix() for path in _texts(copy)}
    kept_here = ("tests/chapters/", "tests/unit/", "tests/workbook/", "reference/", "docs/teaching", ".git/")
    assert not [name for name in names if name.startswith(kept_here)]
    taught = {
        Path(*module.split(".")).with_suffix(".py").name
        for one in chapters()
        for module in one.modules.values()
    }
    theirs = (
        "chapters/",
        "workbook/judges/",
    )  # what is written, and what it is judged on, bear the same names
    assert not [name for name in names if Path(name).name in taught and not name.startswith(theirs)]


def test_no_text_holds_three_statements_of_an_answer(copy: Path) -> None:
    pages = {path: _squeeze(_source(path, text)) for path, text in _texts(copy).items()}
    for chapter in chapters():
        for file, entry in chapter.entries():
            source = inspect.getsource(importlib.import_module(chapter.modules[file]))
            for run in _runs_of_three(_function(source, entry)):
                assert not [path for path, page in pages.items() if run in page], entry


def _source(path: Path, text: str) -> str:
    """A file's text; of a notebook, that of its cells."""
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def test_every_chapter_is_there_as_a_skeleton(copy: Path) -> None:
    for chapter in chapters():
        folder = copy / "chapters" / chapter.name
        for file in chapter.modules:
            assert skeletons.is_skeleton(chapter, file, (folder / file).read_bytes())
        assert list(folder.glob("test_*.py"))
        assert {"README.md", "hints.md", "chapter.toml"} <= {path.name for path in folder.iterdir()}


def test_what_helps_learners_comes_along(copy: Path) -> None:
    wanted = [
        "README.md",
        "chapters/README.md",
        "chapters/AGENTS.md",
        "chapters/CLAUDE.md",
        ".cursor/rules/chapters.mdc",
        ".github/instructions/chapters.instructions.md",
        ".github/workflows/classroom.yml",
        ".devcontainer/devcontainer.json",
        ".vscode/settings.json",
        ".python-version",
        ".gitignore",
        "constraints.txt",
        "docs/settings.md",
        "proto/scheduler/v1/scheduler.proto",
    ]
    assert not [name for name in wanted if not (copy / name).exists()]


def test_every_link_in_a_page_leads_somewhere(copy: Path) -> None:
    for path, text in _texts(copy).items():
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)#:\s]+)\)", text):
                assert (copy / path.parent / target).exists(), f"{path} links to {target}"


def test_a_teacher_s_solution_is_handed_out_as_a_skeleton(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(skeletons, "is_skeleton", lambda *_: False)
    monkeypatch.setattr(skeletons, "find", lambda *_: (b"a skeleton", "git"))
    chapter = chapters()[0]
    export._copy_chapter(chapter, tmp_path)
    assert {(tmp_path / file).read_bytes() for file in chapter.modules} == {b"a skeleton"}


def test_the_wheel_holds_the_reference_and_its_own_sums(copy: Path) -> None:
    with zipfile.ZipFile(_wheel(copy)) as wheel:
        names = wheel.namelist()
        assert {"scheduler/job_queue.py", "scheduler/schema.sql", "scheduler/py.typed"} <= set(names)
        assert not [name for name in names if "__pycache__" in name]
        info = next(name for name in names if name.endswith("RECORD"))
        for line in wheel.read(info).decode().splitlines():
            name, digest, size = line.rsplit(",", 2)
            if digest:
                content = wheel.read(name)
                sha = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={sha}", str(len(content)))


def test_equal_books_make_equal_wheels(copy: Path, tmp_path: Path) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert export.reference_wheel(tmp_path, project).read_bytes() == _wheel(copy).read_bytes()


def test_its_pyproject_installs_the_wheel_and_names_no_reference(copy: Path) -> None:
    data = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))
    first = data["project"]["dependencies"][0]
    assert first == f"scheduler-reference @ {{root:uri}}/vendor/{_wheel(copy).name}"
    assert data["project"]["name"] == "scheduler-workbook"
    assert data["project"]["scripts"] == {"workbook": "workbook.cli:main"}
    assert data["tool"]["hatch"]["metadata"]["allow-direct-references"] is True
    assert data["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["workbook"]
    assert data["tool"]["pytest"]["ini_options"]["testpaths"] == ["chapters"]
    assert "reference/" not in (copy / "pyproject.toml").read_text("utf-8")


def test_in_the_copy_everything_is_red_for_the_right_reason(copy: Path, installed: Path) -> None:
    where = _python(
        copy, installed, "-c", "import scheduler, workbook; print(scheduler.__file__, workbook.__file__)"
    )
    assert where.stdout.split(".py ")[0].startswith(str(installed))
    assert str(copy) in where.stdout
    done = _python(copy, installed, "-m", "pytest", "-p", "no:cacheprovider", "chapters/01_queue")
    assert done.returncode == 1, done.stdout + done.stderr
    assert " failed" in done.stdout
    assert " passed" not in done.stdout
    assert "0 of 5 tasks green" in done.stdout
    assert "Not written yet: name the queue of a priority" in done.stdout
    assert done.stdout.count("not written yet") == 4


def test_in_the_copy_the_final_tests_can_judge_a_scheduler_of_one_s_own(copy: Path, installed: Path) -> None:
    final = ("tests/end_to_end", "--implementation", "chapters", "-p", "no:cacheprovider")
    listed = _python(copy, installed, "-m", "pytest", *final, "--collect-only", "-q")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    one = "test_a_job_goes_from_submit_to_its_end_and_a_watch_tells_of_it"
    done = _python(copy, installed, "-m", "pytest", *final, "-k", one)
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_the_copy_workbook_shows_the_way(copy: Path, installed: Path) -> None:
    done = _python(copy, installed, "-m", "workbook")
    assert done.returncode == 0, done.stderr
    assert "01 task 1: name the queue" in done.stdout
    again = _python(copy, installed, "-m", "workbook", "export", "--students", str(installed / "x"))
    assert again.returncode == 1
    assert "is a copy for students itself" in again.stderr
    assert not (installed / "x").exists()


def test_an_earlier_copy_is_replaced_when_asked_and_keeps_its_git(tmp_path: Path) -> None:
    folder = tmp_path / "handout"
    export.export(students=str(folder), force=False)
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("kept", "utf-8")
    (folder / "chapters" / "old.md").write_text("old", "utf-8")
    with pytest.raises(Misused, match="not empty"):
        export.export(students=str(folder), force=False)
    export.export(students=str(folder), force=True)
    assert (folder / ".git" / "HEAD").read_text("utf-8") == "kept"
    assert not (folder / "chapters" / "old.md").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["handout"]


@pytest.mark.parametrize("folder", [REPOSITORY, REPOSITORY / "handout", REPOSITORY.parent])
def test_no_copy_is_made_where_this_book_lies(folder: Path) -> None:
    with pytest.raises(Misused, match="this book"):
        export.export(students=str(folder), force=True)


def test_a_folder_that_is_no_earlier_copy_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(Misused, match="no earlier copy"):
        export.export(students=str(tmp_path), force=True)
    assert (tmp_path / "thesis.txt").exists()


# -- to start at once


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_vs_code_discovers_the_chapters_tests_and_completes_no_python() -> None:
    settings = _json(SETTINGS)
    assert settings["python.testing.pytestEnabled"] is True
    for name in settings["python.testing.pytestArgs"]:
        assert (REPOSITORY / name).is_dir()
    assert settings["[python]"]["editor.inlineSuggest.enabled"] is False
    assert settings["github.copilot.enable"]["python"] is False
    for pattern in settings["tabnine.disableFileRegex"]:
        assert all(
            re.search(pattern, f"chapters/{one.name}/{file}") for one in chapters() for file in one.modules
        )
    for pattern in settings["search.exclude"]:
        assert (REPOSITORY / pattern.removesuffix("/**")).is_dir()


def test_what_is_recommended_is_what_the_container_has() -> None:
    assert _json(EXTENSIONS)["recommendations"] == _json(CONTAINER)["customizations"]["vscode"]["extensions"]


def test_the_container_installs_with_constraints_and_forwards_the_ports_that_are_served() -> None:
    container = _json(CONTAINER)
    assert (REPOSITORY / "constraints.txt").exists()
    assert "-c constraints.txt -e ." in container["postCreateCommand"]
    ports = [Settings.model_fields["grpc_port"].default, API_METRICS_PORT, WORKER_METRICS_PORT]
    assert container["forwardPorts"] == ports
    assert set(container["portsAttributes"]) == {str(port) for port in ports}
    assert container["remoteUser"] == "vscode", "PostgreSQL refuses to be root"
    assert "features" not in container, "no Docker in Docker"


def test_the_python_that_is_named_is_one_that_fits() -> None:
    version = (REPOSITORY / ".python-version").read_text("utf-8").strip()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"{version}.99" in SpecifierSet(project["requires-python"])
    assert _json(CONTAINER)["image"].endswith(f":{version}")


def test_the_workflow_grades_with_a_book_that_the_student_can_not_edit() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    steps = workflow["jobs"]["grade"]["steps"]
    commands = "\n".join(step["run"] for step in steps if "run" in step)
    assert "-e book" in commands
    assert "-e student" not in commands
    assert "workbook grade student --stretch --json > grade.json" in commands
    for module in re.findall(r"python -m ([\w.]+)", commands):
        assert importlib.util.find_spec(module)
    reporter = steps[-1]
    variable = f"{reporter['with']['runners'].upper()}_RESULTS"
    assert reporter["env"] == {variable: "${{ steps.grade.outputs.result }}"}
    assert all(
        step.get("with", {}).get("persist-credentials") is False for step in steps if "checkout" in str(step)
    )


def test_the_page_for_teachers_has_the_minutes_of_each_chapter() -> None:
    text = (REPOSITORY / "docs" / "teaching.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d\d \w+) \|.*\| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert rows == [(one.name.replace("_", " "), *map(str, _minutes(one))) for one in chapters()]
    core, stretch = (sum(column) for column in zip(*map(_minutes, chapters()), strict=True))
    assert f"Core tasks make {core}." in " ".join(text.split())
    assert f"a bonus of up to {stretch}," in " ".join(text.split())


def _minutes(chapter: Chapter) -> tuple[int, int]:
    core = sum(task.minutes for task in chapter.core)
    return core, sum(task.minutes for task in chapter.tasks) - core


def test_the_page_for_teachers_names_files_that_exist() -> None:
    text = (REPOSITORY / "docs" / "teaching.md").read_text("utf-8").split("## Add a chapter")[0]
    names = re.findall(r"`((?:chapters|tests|workbook|docs|deploy|\.\w+)/[\w./-]*)`", text)
    assert names
    assert not [name for name in names if not (REPOSITORY / name).exists()]


def test_the_readme_for_students_shows_how_to_read_a_given_module(copy: Path, installed: Path) -> None:
    assert "python -m inspect scheduler.worker.reconciler" in (copy / "README.md").read_text("utf-8")
    done = _python(copy, installed, "-m", "inspect", "scheduler.worker.reconciler")
    assert ast.get_docstring(ast.parse(done.stdout))
