"""The reducers: each makes one value of the answers, in the order of arrival, without failed and empty ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aegis import Answer


def _given(answers: Sequence[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.outcome == "completed" and answer.text]


class Concat:
    """All answers, one after the other, each under the name of its member."""

    name = "concat"

    def fold(self, answers: Sequence[Answer]) -> str:
        """Return `---`, the name and the text of each, with an empty line between."""
        return "\n\n".join(f"---\n{answer.handle}: {answer.text}" for answer in _given(answers))


class JoinByHandle:
    """All answers, by the name of their member."""

    name = "join_by_handle"

    def fold(self, answers: Sequence[Answer]) -> dict[str, str]:
        """Return the text of each by name."""
        return {answer.handle: answer.text for answer in _given(answers)}


class LastWins:
    """The answer that came last."""

    name = "last_wins"

    def fold(self, answers: Sequence[Answer]) -> str:
        """Return its text, or an empty text without answers."""
        return "".join(answer.text for answer in _given(answers)[-1:])


class MajorityVote:
    """The answer that most members gave; of two with the same number of votes the one that came first."""

    name = "majority_vote"

    def fold(self, answers: Sequence[Answer]) -> str:
        """Return its text without the space around it, or an empty text without answers."""
        votes = Counter(answer.text.strip() for answer in _given(answers))
        return votes.most_common(1)[0][0] if votes else ""

    def details(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """Return how many members gave each answer, and which members gave another one than the winner."""
        winner = self.fold(answers)
        votes = Counter(answer.text.strip() for answer in _given(answers))
        dissent = {a.handle: a.text for a in _given(answers) if a.text.strip() != winner}
        return {"votes": dict(votes), "dissent": dissent}


class JsonMerge:
    """The JSON objects of all answers as one: lists are joined; of two other values for a key the later one stays."""

    name = "json_merge"

    def fold(self, answers: Sequence[Answer]) -> Any:
        """Return the merged object; an answer that is not a JSON object is skipped."""
        merged: dict[str, Any] = {}
        for value in (_json(answer.text) for answer in _given(answers)):
            if isinstance(value, dict):
                merged = _merged(merged, value)
        return merged

    def details(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """Return which members did not give a JSON object."""
        return {"passed_over": [a.handle for a in _given(answers) if not isinstance(_json(a.text), dict)]}


def _json(text: str) -> Any:
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: _merged(one[key], value) if key in one else value for key, value in other.items()}
    return [*one, *other] if isinstance(one, list) and isinstance(other, list) else other
