"""A written plan, one slice after the other."""

from __future__ import annotations

import re
from typing import Any

_SLICE = re.compile(r"^## Slice (\d+)\s*[—–-]\s*(.+?)\s*$", re.MULTILINE)

_FENCED = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)


def slices(text: str) -> list[tuple[str, str, str]]:
    """Return (number, title, body) of each `## Slice N — title`; the body runs to the next heading of that level."""
    plain = _FENCED.sub(lambda block: re.sub(r"(?m)^#", " ", block[0]), text)  # what is code is no heading
    parts = []
    for match in _SLICE.finditer(plain):
        rest = text[match.end() :]
        following = re.search(r"^## ", plain[match.end() :], re.MULTILINE)
        parts.append((match[1], match[2], rest[: following.start() if following else None].strip()))
    return parts


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
