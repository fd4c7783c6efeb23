"""``python -m k8s_hub``: the command ``k8s-hub``."""

import sys

from k8s_hub.cli.main import main

sys.exit(main())
