"""python -m bayesgmm: the command line."""

import sys

from bayesgmm.cli import main

sys.exit(main())
