"""A Claude Code that says again what was recorded: `replay.py RECORDING`, waiting where the driver has to speak first.

`{"sent": …}` in the recording waits for a line of the driver; a prompt's new uuid takes the place of the recorded one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Speak until the recording ends, then be as idle as the CLI is."""
    names: dict[str, str] = {}
    for line in Path(sys.argv[1]).read_text().splitlines():
        sent = json.loads(line).get("sent") if line.startswith('{"sent"') else None
        if sent is None:
            for recorded, actual in names.items():
                line = line.replace(recorded, actual)
            print(line, flush=True)
            continue
        heard = json.loads(sys.stdin.readline() or "null")
        if heard is None:
            return
        if heard["type"] != sent["type"]:
            sys.exit(f"the driver said {heard} where it had said {sent}")
        if "uuid" in sent:
            names[sent["uuid"]] = heard["uuid"]
    sys.stdin.read()


if __name__ == "__main__":
    main()
