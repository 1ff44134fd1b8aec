"""The kernel's own tests; what several of them use stands beside them and is imported by its name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
