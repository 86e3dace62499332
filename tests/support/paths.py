"""The folders and programs that tests use."""

import sys
from pathlib import Path

#: of the repository
ROOT = Path(__file__).parent.parent.parent

#: of the package
SOURCE = ROOT / "src" / "anyscale"

#: of the programs of this environment
BIN = Path(sys.executable).parent

#: the installed command
ANYSCALE = str(BIN / "anyscale")
