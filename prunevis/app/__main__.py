"""`python -m prunevis.app` is the command `prunevis`."""

import sys

from prunevis.app.cli import main

sys.exit(main())
