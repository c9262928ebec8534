"""Minutes of everything at once: `make chaos MINUTES=10 [SEED=n]`, or `python -m tests.faults.chaos --minutes 10`.

__main__.py  the command: a whole run, its report, its exit code     load.py   a process of callers, and who starts it
faults.py    what is done to the cluster, and when                   calls.py  what callers call, and what is due
redis.py     what is done to Redis                                   book.py   a load's open calls, and what it tells
ways.py      the links between Redis and the roles, and their faults sizes.py  how processes grow
patience.py  long jobs that nothing strikes: each runs once
tally.py     what the loads reported, and how soon it worked again

The driver is one thread that strikes, and one reader a load. The callers are processes of their own, so that what
grows in a client is not what grows in the driver.
"""
