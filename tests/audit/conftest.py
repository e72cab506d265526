"""What the tests of the audit share: the simulation whose table stands in docs/audit.md."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "evidence"))
