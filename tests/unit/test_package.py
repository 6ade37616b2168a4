import importlib.metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_the_package_is_installed_from_include():
    assert importlib.metadata.version("freightsync")


def test_the_readme_says_what_each_dag_does():
    told = {line.split("`")[1] for line in (PROJECT / "README.md").read_text().splitlines() if line.startswith("| `")}
    assert {dag.stem for dag in (PROJECT / "dags").glob("*.py")} <= told
