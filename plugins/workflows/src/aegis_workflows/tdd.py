"""From a failing test to an implementation that passes, and its review."""

from __future__ import annotations

import shlex
from typing import Any


async def tdd_cycle(engine: Any, feature: str, test_path: str | None = None) -> dict[str, str]:
    """Have a test written that fails, then what makes it pass, then a review.

    Settings (`workflows.config.tdd_cycle`): `implementer` and `reviewer` name profiles, `test_command` is how tests are
    run (`{path}` stands for the test's path), `max_retries` how often each phase may fail.
    """
    settings = engine.config
    path = test_path or f"tests/test_{_slug(feature)}.py"
    path = f"./{path}" if path.startswith("-") else path  # where the command takes an option it is a file
    command = settings.get("test_command", "python -m pytest -q {path}").format(path=shlex.quote(path))
    tries = int(settings.get("max_retries", 3))
    coder = await engine.spawn(settings.get("implementer", "implementer"))

    await engine.send(
        coder, f"Write a test in {path} for this feature, and nothing else yet: {feature}\n"
        "It must fail, because the feature is not there.",
    )  # fmt: skip
    await engine.bash_predicate(
        f"{{ {command}; }} 2>&1 | grep -E 'FAIL|ERROR'", to=coder, max_retries=tries,
        retry_with=f"`{command}` does not fail. The test in {path} must fail as long as the feature is not there.",
    )  # fmt: skip
    await engine.checkpoint("write_test", {"test_path": path})

    await engine.send(coder, f"Now make {path} pass: implement the feature. Do not change the test.")
    done = await engine.bash_predicate(
        command, to=coder, max_retries=tries, retry_with="The tests still fail (exit {exit}):\n{stdout}\n{stderr}"
    )
    await engine.checkpoint("implement", {"test_path": path})

    reviewer = await engine.spawn(settings.get("reviewer", "reviewer"))
    review = await engine.send(
        reviewer, f"Review the feature {feature!r} and its test {path}: what is wrong, what is missing?"
    )
    return {"test_path": path, "tests": done.stdout.strip()[-500:], "review": review}


def _slug(text: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return "_".join(words[:6]) or "feature"
