"""`python -m avcall.cli` is `avcall`."""

import sys

from avcall.cli import main

sys.exit(main())
