"""The stage stands beside the tests and is imported by its name."""

import sys
from pathlib import Path

import pytest

import aegis_budget.plugin

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def till():
    """The driver whose turns the test plays."""
    from budget_stage import Till  # noqa: PLC0415 - found by the line above

    return Till()


@pytest.fixture
def plugins(till):
    """What is under test, and who spends."""
    return {"till": till, "budget": aegis_budget.plugin}


@pytest.fixture
def budgets(project):
    """Write a configuration with these budgets, as YAML, and the profiles `rich` and `poor`."""
    from budget_stage import config  # noqa: PLC0415 - the same

    def write(text: str, **more: object) -> None:
        (project / ".aegis.yaml").write_text(config(text, **more))

    write("project: []")
    return write
