"""Seeds of random stories: printed, and given again by an environment variable."""

from __future__ import annotations

import os
import random


def seed(variable: str) -> int:
    """Return the seed named by the variable, or a new one, and print it so that a failure can be played again."""
    found = int(os.environ.get(variable, "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"{variable}={found}")
    return found
