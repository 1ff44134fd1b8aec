"""A written plan, one slice after the other."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

_SLICE = re.compile(r"## Slice (\d+)[ \t]*[—–-](.*)", re.DOTALL)  # of one line
_FENCE = re.compile(r"```+|~~~+")


def slices(text: str) -> list[tuple[str, str, str]]:
    """Return (number, title, body) of each `## Slice N — title`; the body runs to the next heading of that level."""
    lines = text.split("\n")
    code = _fenced(lines)
    headings = [at for at, line in enumerate(lines) if line.startswith("## ") and at not in code]
    parts = []
    for at, following in pairwise([*headings, len(lines)]):
        if (match := _SLICE.match(lines[at])) and (title := match[2].strip()):
            parts.append((match[1], title, "\n".join(lines[at + 1 : following]).strip()))
    return parts


def _fenced(lines: list[str]) -> set[int]:
    """Return the numbers of the lines that are code; a fence that nothing closes is none. Each is looked at twice."""
    closing = [_closing(line) for line in lines]
    longest = {"`": 0, "~": 0}  # of those that still come, from the line that is looked at on
    ahead: list[dict[str, int]] = []
    for mark in reversed(closing):
        ahead.append(longest)
        if mark and len(mark) > longest[mark[0]]:
            longest = longest | {mark[0]: len(mark)}
    ahead.reverse()
    code: set[int] = set()
    opened = ""
    for at, line in enumerate(lines):
        if opened:
            code.add(at)
            opened = "" if closing[at].startswith(opened) else opened
        elif (fence := _FENCE.match(line)) and ahead[at][fence[0][0]] >= len(fence[0]):
            code.add(at)
            opened = fence[0]
    return code


def _closing(line: str) -> str:
    """Return the fence that the line consists of, empty when it does not."""
    fence = _FENCE.match(line)
    return fence[0] if fence and not line[fence.end() :].strip() else ""


async def execute_plan(engine: Any, plan_path: str) -> dict[str, Any]:
    """Have each slice of a plan done by an agent of its own, one after the other, each kept before the next begins.

    Settings (`workflows.config.execute_plan`): `implementer` names a profile, `verify` is a command that must succeed
    after each slice. Tried again after a failure, it goes on with the first slice that is not done.
    """
    settings = engine.config
    read = await engine.bash("cat < {plan_path}", plan_path=plan_path, idempotent=True)
    if read.exit:
        raise ValueError(f"the plan could not be read: {read.stderr.strip()}")
    plan = slices(read.stdout)
    if not plan:
        raise ValueError(f"{plan_path} has no `## Slice N — title`")
    done: dict[str, str] = dict((await engine.resume_state() or {}).get("done", {}))  # by an attempt that failed
    for number, title, body in plan:
        if number in done:
            continue
        coder = await engine.spawn(settings.get("implementer", settings.get("default_subagent_profile", "implementer")))
        reply = await engine.send(coder, f"Do slice {number} of the plan {plan_path}, and only that: {title}\n\n{body}")
        if verify := settings.get("verify"):
            await engine.bash_predicate(verify, to=coder, retry_with="`" + verify + "` fails:\n{stdout}\n{stderr}")
        await engine.close(coder)
        done[number] = reply
        await engine.checkpoint(f"slice {number}", {"done": dict(done)})
    return {"plan": plan_path, "slices": done}
