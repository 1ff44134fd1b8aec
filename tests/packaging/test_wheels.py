"""Each distribution stands alone: its wheel and the kernel's, in an environment with nothing else of ours."""

import json
import zipfile

import pytest
from workspace import libraries, members, plugins

pytestmark = pytest.mark.packaging

LOADED = """
import json, sys
from importlib.metadata import distributions
from aegis.plugins import discovered
found = discovered().report()
ours = sorted(d.name for d in distributions() if "aegis" in d.name)
print(json.dumps({"ours": ours, "states": {p.name: [p.state, p.error, p.distribution] for p in found}}))
"""


def test_the_kernel_alone(clean, together):
    seen = json.loads(clean("aegis-microkernel").run("python", "-c", LOADED))
    assert seen == {"ours": together("aegis-microkernel"), "states": {}}
    assert set(seen["ours"]) <= {"aegis-microkernel", *(m.distribution for m in libraries())}


@pytest.mark.parametrize("library", libraries(), ids=lambda m: m.path)
def test_a_library_needs_nothing_of_ours(clean, library):
    environment = clean(library.distribution)
    for module in library.modules():
        name = ".".join(module.relative_to(library.source.parent).with_suffix("").parts).removesuffix(".__init__")
        environment.run("python", "-c", f"import {name}")


@pytest.mark.parametrize("member", plugins(), ids=lambda m: m.path)
def test_a_member_and_the_kernel(clean, together, member):
    ours = together("aegis-microkernel", member.distribution)  # the shims of ACP stand on its driver
    seen = json.loads(clean(*ours).run("python", "-c", LOADED))
    assert seen["ours"] == ours
    offered = [m for m in plugins() if m.distribution in ours]
    assert seen["states"] == {m.folder.name: ["loaded", "", m.distribution] for m in offered}


def test_the_root_is_a_list_and_no_code(wheel):
    names = zipfile.ZipFile(wheel("aegis-meta-harness")).namelist()
    assert {name.split("/")[0].rpartition(".")[2] for name in names} == {"dist-info"}


def test_a_wheel_holds_its_package_and_nothing_else(wheel):
    for member in members():
        tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel(member.distribution)).namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {member.package}, member.path


def test_every_data_file_is_in_the_wheel(wheel):
    """A list of names or a C source beside the modules is installed with them."""
    for member in members():
        packed = set(zipfile.ZipFile(wheel(member.distribution)).namelist())
        files = {p for p in member.source.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        assert {p.relative_to(member.source.parent).as_posix() for p in files} <= packed, member.path
