"""From five questions to a written design."""

from __future__ import annotations

from typing import Any

_QUESTIONS = {
    "goal": "What should be possible at the end that is not possible now?",
    "users": "Who will use it, and how will they notice that it works?",
    "limits": "What must not change, and what must it never do?",
    "parts": "Which parts exist already, and which will have to be made?",
    "proof": "How will we know that it is done?",
}


async def brainstorm_to_spec(engine: Any, topic: str | None = None) -> str:
    """Ask a person five questions about a topic and have the design written; return the path of the page.

    Settings (`workflows.config.brainstorm_to_spec`): `writer` names a profile, `folder` where the page goes.
    """
    settings = engine.config
    topic = topic or await engine.ask_human("What is it about, in a few words?")
    answers: dict[str, str] = dict(await engine.resume_state() or {})  # to an attempt that failed
    for name, question in _QUESTIONS.items():
        if name in answers:
            continue
        answers[name] = await engine.ask_human(question)
        await engine.checkpoint(name, dict(answers))
    writer = await engine.spawn(settings.get("writer", "spec_writer"))
    told = "\n".join(f"- {_QUESTIONS[name]} {answer}" for name, answer in answers.items())
    page = await engine.send(writer, f"Write the design for: {topic}\nAnswer with the page in Markdown alone.\n{told}")
    folder = settings.get("folder", "docs/design")
    slug = "-".join("".join(c if c.isalnum() else " " for c in topic.lower()).split()[:6]) or "topic"
    path = f"{folder}/{(await engine.now())[:10]}-{slug}-design.md"
    script = "mkdir -p -- {folder} && printf '%s\\n' \"$PAGE\" > {path}"
    done = await engine.bash(script, folder=folder, path=path, env={"PAGE": page}, idempotent=True)
    if done.exit:
        raise ValueError(f"the page could not be written: {done.stderr.strip()}")
    return path
