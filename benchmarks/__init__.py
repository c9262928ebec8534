"""How fast simpledist is, beside its peers and the bare-Redis floor: `make bench`, or `python -m benchmarks.run`.

jobs.py          what every peer runs             peer.py      what a peer can do; the process that is asked to
peers/           one small adapter a peer         driver.py    that process, as the run sees it
environments.py  a virtual environment a peer     works.py     what is measured
run.py           rounds, interleaved              results.py   medians and spread, kept in results.json
report.py        the table                        plots.py     the pictures
data.py          calls that have a big array in common  holding.py    what its peers are asked to do
scale.py         what one machine cannot hold, simulated
crowds.py        a map of 1,000,000 calls, 1,000 clients

Nothing here is installed with the package. A peer's own virtual environment lies in benchmarks/.venvs.
"""
