"""Tests that ask for `member` run once for each; those that ask for `plugin`, once for each that has an entry point."""

from workspace import members, plugins


def pytest_generate_tests(metafunc):
    """Hand every member to the tests that name one."""
    if "member" in metafunc.fixturenames:
        metafunc.parametrize("member", members(), ids=lambda m: m.path)
    if "plugin" in metafunc.fixturenames:
        metafunc.parametrize("plugin", plugins(), ids=lambda m: m.path)
