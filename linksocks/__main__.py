"""`python -m linksocks` is the command `linksocks`."""

import sys

from linksocks.cli import main

sys.exit(main())
