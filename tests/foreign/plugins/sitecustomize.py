"""Put the cluster in place of loky in every process of a suite: pytest, the programs that its tests start, workers.

Python imports this at its start, where the folder is on PYTHONPATH.
"""

from __future__ import annotations

import os

if os.environ.get("FOREIGN_BACKEND") == "simpledist":
    import in_place_of_loky

    in_place_of_loky.wait_for_libraries()
