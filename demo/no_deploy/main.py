"""A package of our own runs on workers that do not have it.

Start `simpledist-worker --any` in an empty folder, on as many machines as you like, then run this: the modules that the
calls need travel with them, and so do your edits. Without a worker it runs here.
"""

from __future__ import annotations

from collections import Counter

from planets import orbit

import simpledist

PLANETS = ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn")


def main() -> None:
    with simpledist.connect() as client:
        nearest = simpledist.worker_function(client, "nearest", orbit.nearest)
        futures = [nearest.submit(planet) for planet in PLANETS]
        for future in futures:
            planet, distance = future.result()
            print(f"{planet}: {distance:g} million km from the sun at its nearest")
        print("ran", dict(Counter(future.info.where for future in futures if future.info is not None)))


if __name__ == "__main__":
    main()
