"""What holds of the package as a whole: light to import, honest in its names, gates that close."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rlsched

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "numba", "matplotlib", "pandas", "pyarrow", "gymnasium", "onnxruntime", "stable_baselines3", "typer")


def run(*code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *code], capture_output=True, text=True, cwd=ROOT)


def test_importing_the_package_loads_nothing_heavy() -> None:
    done = run("-c", f"import sys, rlsched; print([name for name in {HEAVY} if name in sys.modules])")
    assert done.stdout.strip() == "[]"


def test_help_loads_neither_numba_nor_torch_nor_pandas() -> None:
    code = (
        "import sys; from rlsched.cli.main import main; main(['--help']);"
        f"print([n for n in {HEAVY} if n != 'typer' and n in sys.modules])"
    )
    assert run("-c", code).stdout.strip().endswith("[]")


def test_every_promised_name_is_there_and_the_list_is_sorted() -> None:
    assert list(rlsched.__all__) == sorted(rlsched.__all__)
    for name in rlsched.__all__:
        assert getattr(rlsched, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = rlsched.nonsense


def test_the_version_is_the_newest_entry_of_the_changelog() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == rlsched.__version__


def test_a_user_error_exits_2_with_one_message_and_no_traceback() -> None:
    done = run("-m", "rlsched", "traces", "describe", "/no/such/file.csv")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "/no/such/file.csv" in done.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["bench", "--only", "replai"], ["traces", "describe"]])
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    done = run("-m", "rlsched", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_nothing_unpickles_evaluates_or_imports_from_files() -> None:
    forbidden = re.compile(
        r"\bpickle\b|(?<!\.)\beval\(|(?<!\.)\bexec\(|torch\.load\((?!.*weights_only=True)|allow_pickle=True|joblib"
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "rlsched").rglob("*.py")
        for line in path.read_text().splitlines()
        if forbidden.search(line.partition("#")[0]) and '"""' not in line
    ]
    assert found == []


def test_no_source_file_is_longer_than_five_hundred_lines() -> None:
    long = {str(path.relative_to(ROOT)): n for path in (ROOT / "rlsched").rglob("*.py")
            if (n := len(path.read_text().splitlines())) > 500}  # fmt: skip
    assert long == {}


@pytest.mark.parametrize(
    ("planted", "gate"),
    [
        ("rlsched/traces/planted.py", ["lint-imports", "--no-cache"]),
        ("rlsched/planted.py", ["mypy"]),
        ("rlsched/planted.py", ["ruff", "check", "."]),
    ],
)
@pytest.mark.slow
def test_a_gate_closes_on_a_planted_fault(planted: str, gate: list[str], tmp_path: Path) -> None:
    faults = {
        "lint-imports": '"""Planted."""\n\nfrom rlsched.sim import state\n\n__all__ = ["state"]\n',
        "mypy": '"""Planted."""\n\nx: int = "text"\n',
        "ruff": "import os\n",
    }
    for name in ("rlsched", "pyproject.toml"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(tmp_path)], check=True)
    command = [str(Path(sys.executable).parent / gate[0]), *gate[1:]]
    (tmp_path / planted).write_text(faults[gate[0]])
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode != 0
    assert "planted" in done.stdout + done.stderr
