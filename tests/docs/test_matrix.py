"""What the CLIs can do is written of a whole run, and a whole run that finds something else fails."""

import json
import shutil
import subprocess
import sys

import pytest
from workspace import ROOT

CONFTEST = """
import sys
from pathlib import Path
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / ".make")]
from proofs import Proofs

def pytest_addoption(parser):
    parser.addoption("--matrix", action="store_true")

def pytest_configure(config):
    config.pluginmanager.register(Proofs(config))
"""
TESTS = """
from pathlib import Path
import pytest
from aegis.testing.contract_base import StagedDriver
CLI = Path(__file__).parents[2] / "node_modules" / "@toys" / "toy" / "bin" / "toy"

@pytest.fixture(params=["gemini"])
def named(request):
    return request.param

class Driver:
    __module__ = "aegis_toy.driver"

class TestToy(StagedDriver):
    provider = "toy"
    unstaged = {"die": "it never dies"}
    lacks = {"effort": "it makes none"}

    @pytest.fixture
    def driver(self):
        return Driver()

    @pytest.fixture
    def stage(self):
        return {"command": [str(CLI)]}

    @pytest.mark.ability("answers", "cost")
    @pytest.mark.parametrize("word", ["b", "a"])
    def test_it_answers(self, driver, stage, word):
        assert True

    @pytest.mark.ability("crash")
    @pytest.mark.scene("die")
    def test_it_dies(self, driver, stage):
        assert False

    @pytest.mark.ability("effort")
    def test_it_makes_no_effort(self, driver, stage):
        assert True

    @pytest.mark.ability("permission read", no="nothing holds it")
    def test_it_cannot_be_held(self, driver, stage):
        assert True

    @pytest.mark.ability("plan")
    def test_it_plans(self, driver, stage):
        pytest.skip("not today")

@pytest.mark.ability("answers")
def test_of_a_cli_that_is_not_here(named):
    pytest.skip("gemini is not installed")
"""
PROOF = "tests/live/test_toy.py::TestToy::test_it_"
FOUND = {
    "toy": {
        "cli": "@toys/toy",
        "version": "1.2.3",
        "driver": "aegis-toy",
        "abilities": {
            "answers": {"can": "yes", "tests": [PROOF + "answers"]},
            "effort": {"can": "no", "reason": "it makes none", "tests": [PROOF + "makes_no_effort"]},
            "cost": {"can": "yes", "tests": [PROOF + "answers"]},
            "permission read": {"can": "no", "reason": "nothing holds it", "tests": [PROOF + "cannot_be_held"]},
            "crash": {"can": "not staged", "reason": "it never dies"},
        },
    }
}


class Place:
    """A repository with one live test and what gathers its proofs."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "docs" / "reference" / "providers.json"
        self.tests = folder / "tests" / "live" / "test_toy.py"
        self.package = folder / "node_modules" / "@toys" / "toy" / "package.json"

    def build(self):
        """Make it."""
        for file in (self.file, self.tests, self.package):
            file.parent.mkdir(parents=True)
        for source in (".make/workspace.py", ".make/matrix.py", "tests/live/proofs.py"):
            (self.folder / source).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / source, self.folder / source)
        self.package.write_text('{"name": "@toys/toy", "version": "1.2.3"}')
        (self.folder / "pytest.ini").write_text("[pytest]\n")
        (self.tests.parent / "conftest.py").write_text(CONFTEST)
        self.tests.write_text(TESTS)

    def run(self, *arguments):
        """Return the exit code and what was said."""
        command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider"]
        command += ["tests/live", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def edit(self, old, new):
        """Change the test."""
        assert old in self.tests.read_text()
        self.tests.write_text(self.tests.read_text().replace(old, new))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("place"))
    place.build()
    code, said = place.run("--matrix")
    assert code == 0, said
    return place.folder


@pytest.fixture
def place(written, tmp_path):
    return Place(shutil.copytree(written, tmp_path / "place"))


def test_it_is_written_and_found_again_byte_by_byte(place):
    before = place.file.read_bytes()
    assert json.loads(before) == FOUND
    assert list(json.loads(before)["toy"]["abilities"]) == list(FOUND["toy"]["abilities"])
    place.edit('["b", "a"]', '["a", "b"]')
    assert place.run()[0] == 0
    assert place.run("--matrix", "-n2")[0] == 0, "several workers put together what each found"
    assert place.file.read_bytes() == before


def test_what_changed_fails_the_run_and_is_named(place):
    place.edit('"effort": "it makes none"', "")
    place.edit('@pytest.mark.ability("answers", "cost")', '@pytest.mark.ability("answers")')
    place.package.write_text('{"name": "@toys/toy", "version": "1.3.0"}')
    code, said = place.run()
    assert code == 1
    assert "toy: its version was 1.2.3, and is 1.3.0" in said
    assert "toy 1.3.0: 'effort' was no (it makes none), and is yes" in said
    assert "toy 1.3.0: 'cost' was yes, and is without a test" in said
    assert "run `make matrix`" in said
    assert json.loads(place.file.read_text()) == FOUND


def test_a_provider_that_is_tested_no_more_is_named_and_one_that_is_not_installed_is_kept(place):
    known = FOUND | {"gemini": FOUND["toy"], "gone": FOUND["toy"]}
    place.file.write_text(json.dumps(known))
    code, said = place.run()
    assert code == 1 and "gone is not tested any more" in said and "gemini" not in said
    assert place.run("--matrix")[0] == 0
    assert json.loads(place.file.read_text()).keys() == {"gemini", "toy"}


def test_a_part_of_the_tests_is_compared_with_nothing(place):
    place.file.write_text("{}")
    assert place.run("-k", "answers")[0] == 0
    assert place.run("tests/live/test_toy.py::TestToy")[0] == 0
    code, said = place.run("-k", "answers", "--matrix")
    assert code == 1 and "nothing was written" in said and place.file.read_text() == "{}"


@pytest.mark.parametrize("end", ["assert False", "raise KeyboardInterrupt", "pytest.exit('enough')"])
def test_a_run_that_fails_or_is_broken_off_writes_nothing(place, end):
    place.edit("assert True", end)
    before = place.file.read_bytes()
    code, said = place.run("--matrix")
    assert code != 0 and "no test fails" in said and place.file.read_bytes() == before


def test_a_test_that_proves_it_of_nobody_is_named(place):
    place.edit('    provider = "toy"\n', "")
    before = place.file.read_bytes()
    code, said = place.run("--matrix")
    assert code == 1 and "test_toy.py::TestToy" in said and "`provider = " in said
    assert place.file.read_bytes() == before
    assert place.run("-k", "answers")[0] == 0


def test_an_ability_that_has_no_name_is_refused(place):
    place.edit('ability("plan")', 'ability("levitation")')
    code, said = place.run()
    assert code != 0 and "'levitation', which is no ability; there are: answers" in said
