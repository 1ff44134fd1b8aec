"""A branch, read by several at once."""

from __future__ import annotations

import shlex
from typing import Any

_MOST = 150_000  # characters of a diff that are handed over


async def review_branch(engine: Any, base: str = "main") -> dict[str, Any]:
    """Have the diff to a branch reviewed by several agents side by side, and write the report.

    Settings (`workflows.config.review_branch`): `reviewers` names profiles, `folder` where the report goes.
    """
    settings = engine.config
    profiles = settings.get("reviewers", ["security-reviewer", "api-reviewer", "test-reviewer"])
    head = (await engine.bash("git rev-parse --abbrev-ref HEAD", idempotent=True)).stdout.strip()
    diff = await engine.bash(f"git diff {shlex.quote(base)}...HEAD", idempotent=True)
    if diff.exit:
        raise ValueError(f"`git diff {base}...HEAD` failed: {diff.stderr.strip()}")
    if not diff.stdout.strip():
        return {"report": "", "reviews": {}, "note": f"{head} does not differ from {base}"}
    handles = [await engine.spawn(profile) for profile in profiles]
    ask = f"Review this diff of {head} to {base}. Say what is wrong, worst first, each with file and line.\n\n"
    replies = await engine.parallel([engine.send(handle, ask + diff.stdout[:_MOST]) for handle in handles])
    reviews = dict(zip(profiles, replies, strict=True))
    report = "\n\n".join([f"# Review of {head} against {base}", *(f"## {p}\n\n{r}" for p, r in reviews.items())])
    folder = settings.get("folder", "docs/reviews")
    path = f"{folder}/{(await engine.now())[:10]}-{head.replace('/', '-')}.md"
    script = f"mkdir -p {shlex.quote(folder)} && printf '%s\\n' \"$REPORT\" > {shlex.quote(path)}"
    written = await engine.bash(script, env={"REPORT": report}, idempotent=True)
    if written.exit:
        raise ValueError(f"the report could not be written: {written.stderr.strip()}")
    return {"report": path, "reviews": reviews}
