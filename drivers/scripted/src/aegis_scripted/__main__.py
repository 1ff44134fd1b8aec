"""The agent's process: `python -I -S …/aegis_scripted FOLDERS`; without `site` it starts in half the time."""

import os
import sys

sys.path[:0] = sys.argv[1].split(os.pathsep)

from aegis_scripted.agent import main  # noqa: E402 - found in the folders just added

main()
