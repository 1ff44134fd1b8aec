"""A branch, read by several at once."""

from __future__ import annotations

from typing import Any

from aegis import AegisError

_MOST = 150_000  # characters of a diff that are handed over


async def review_branch(engine: Any, base: str = "main") -> dict[str, Any]:
    """Have the diff to a branch reviewed by several agents side by side, and write the report.

    One that fails is said in the report; the run fails when all do. Settings (`workflows.config.review_branch`):
    `reviewers` names profiles, `folder` where the report goes.
    """
    settings = engine.config
    profiles = settings.get("reviewers", ["security-reviewer", "api-reviewer", "test-reviewer"])
    head = (await engine.bash("git rev-parse --abbrev-ref HEAD", idempotent=True)).stdout.strip()
    # a branch called like an option is none: git is asked for its commit first
    found = await engine.bash(
        "git rev-parse --verify --end-of-options {commit}", commit=f"{base}^{{commit}}", idempotent=True
    )
    if found.exit:
        raise ValueError(f"there is no branch or commit {base!r}: {found.stderr.strip()}")
    diff = await engine.bash("git diff {range} --", range=f"{found.stdout.strip()}...HEAD", idempotent=True)
    if diff.exit:
        raise ValueError(f"`git diff {base}...HEAD` failed: {diff.stderr.strip()}")
    if not diff.stdout.strip():
        return {"report": "", "reviews": {}, "note": f"{head} does not differ from {base}"}
    ask = f"Review this diff of {head} to {base}. Say what is wrong, worst first, each with file and line.\n\n"
    if len(diff.stdout) > _MOST:
        ask += f"(These are its first {_MOST:,} characters; read the rest with `git diff {base}...HEAD`.)\n\n"
    labels = [p if (n := profiles[: i + 1].count(p)) == 1 else f"{p}#{n}" for i, p in enumerate(profiles)]
    reviews: dict[str, str] = {}
    failed: dict[str, str] = {}

    async def review(label: str, profile: str) -> None:
        try:
            reviews[label] = await engine.send(await engine.spawn(profile), ask + diff.stdout[:_MOST])
        except AegisError as error:
            failed[label] = str(error)

    await engine.parallel([review(label, profile) for label, profile in zip(labels, profiles, strict=True)])
    if not reviews:
        said = "; ".join(f"{label}: {why}" for label, why in failed.items())
        raise ValueError(f"nobody reviewed it ({said}); `workflows.config.review_branch.reviewers` names who does")
    parts = [f"## {label}\n\n{reviews.get(label) or f'No review: {failed.get(label)}'}" for label in labels]
    report = "\n\n".join([f"# Review of {head} against {base}", *parts])
    folder = settings.get("folder", "docs/reviews")
    path = f"{folder}/{(await engine.now())[:10]}-{head.replace('/', '-')}.md"
    script = "mkdir -p -- {folder} && printf '%s\\n' \"$REPORT\" > {path}"
    written = await engine.bash(script, folder=folder, path=path, env={"REPORT": report}, idempotent=True)
    if written.exit:
        raise ValueError(f"the report could not be written: {written.stderr.strip()}")
    in_order = {label: reviews[label] for label in labels if label in reviews}
    return {"report": path, "reviews": in_order} | ({"failed": failed} if failed else {})
