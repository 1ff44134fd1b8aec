"""How our source starts other programs: with the person's own umask, and nothing of the current folder imported."""

import ast
import re

from workspace import members

STARTERS = {"open_process", "Popen"}
SAFE = re.compile(r"-[A-Za-z]*[PI][A-Za-z]*")  # python -P, -I or -Pm: the current folder is not on the import path


def calls():
    """Yield each call in our source, with its module."""
    for member in members():
        for module in member.modules():
            if "testing" in module.parts:
                continue
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                yield module, node


def test_programs_are_started_with_the_persons_umask():
    wrong = [
        f"{module}:{node.lineno}"
        for module, node in calls()
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in STARTERS
        and "umask" not in {keyword.arg for keyword in node.keywords}
    ]
    assert wrong == [], "give `umask=users_umask()` (aegis_private.umask)"


def test_no_python_of_ours_imports_from_the_current_folder():
    wrong = []
    for module, node in calls():
        if isinstance(node, ast.List) and any(ast.unparse(item) == "sys.executable" for item in node.elts):
            flags = [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            if not any(SAFE.fullmatch(flag) for flag in flags) and not re.search(r"orig_argv", ast.unparse(node)):
                wrong.append(f"{module}:{node.lineno}: {ast.unparse(node)}")
    assert wrong == [], "start it with -P or -I"
