"""The console's own tests; the stage they play on stands beside them and is imported by its name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
