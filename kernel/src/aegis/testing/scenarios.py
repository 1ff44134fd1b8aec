"""What a driver's contract has the CLI do: a script in which the word of a prompt chooses the scene.

A driver whose CLI follows `aegis.testing.script` takes `SCRIPT` as it is; for another CLI the stage is set by other
means, a scripted model for example. Scenes that cannot be set are named in `DriverContract.unstaged`.
"""

from __future__ import annotations

from typing import Any

MIB = 2**20
FLOOD, LINE = 40 * MIB, 64 * MIB  # bytes

# scene → what the CLI does when the word stands in its prompt
SCENES: dict[str, list[dict[str, Any]]] = {
    "one": [{"think": "hm"}, {"say": "the first answer"}, {"usage": {"input": 5, "output": 2, "cost": 0.25}}],
    "two": [{"say": "the second answer"}, {"usage": {"input": 7, "output": 3, "cost": 0.5}}],
    "primer": [{"say": "I was told: {primer}"}],
    "again": [{"say": "turn {turn}; before: {before}"}],
    "whoami": [{"call": "whoami"}, {"say": "{reply}"}],
    "edit": [{"edit": "note.txt", "text": "written"}, {"say": "it is done"}],
    "hang": [{"say": "begun"}, {"never_end": True}],
    "deaf": [{"deaf": "begun"}],
    "shell": [{"shell": "exec tail -f /dev/null"}],
    "fail": [{"fail": "the model is overloaded"}],
    "die": [{"say": "begun"}, {"stderr": 1}, {"crash": 3}],
    "kill": [{"say": "begun"}, {"crash": "SIGKILL"}],
    "exit": [{"say": "good-bye"}, {"exit": 4}],
    "mute": [{"say": "begun"}, {"close_stdout": True}],
    "flood": [{"stderr": FLOOD}, {"say": "the flood is over"}],
    "malformed": [{"malformed": True}, {"say": "where was I"}],
    "long": [{"line": LINE}],
}
SCRIPT = [{"when": rf"^{word}\b", "do": steps} for word, steps in SCENES.items()]
