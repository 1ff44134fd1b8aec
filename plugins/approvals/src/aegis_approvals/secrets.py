"""What must not be written into a file that people share."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SHORTEST = 8  # characters of a variable's value that is a secret and no word
_NAMED = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
_LOOKS = re.compile(
    r"(?:key|token|secret|passw(?:or)?d|credentials?|authorization)[\"']?\s*[=:]\s*[\"']?[^\s\"'$]"  # api_key=…
    r"|--?(?:api-?key|token|secret|password)\s+[^\s$-]"
    r"|\b(?:bearer|basic)\s+[\w.~+/=-]{8}"
    r"|://[^/\s:@]+:[^/\s:@$]+@"  # https://anna:…@host
    r"|\b(?:sk|pk|rk|gh[oprsu]|github_pat|glpat|xox[abprs]|npm|AKIA|ASIA|AIza|eyJ)[-_]?[A-Za-z0-9_-]{12}"
    r"|-----BEGIN ",
    re.IGNORECASE,
)


def holds_secret(text: str, environment: Mapping[str, str]) -> bool:
    """Return whether the text looks like it holds a secret, or holds one of the environment's."""
    values = (value for name, value in environment.items() if _NAMED.search(name) and len(value) >= _SHORTEST)
    return bool(_LOOKS.search(text)) or any(value in text for value in values)
