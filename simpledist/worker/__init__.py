"""The worker: a parent that talks to Redis and runs no user code; children that run it and know no Redis.

worker.py    the parent's one loop                 children.py  template and slots, as the parent sees them
links.py     its three connections                 template.py  the process that imports targets, forks, reaps
targets.py   what `module:function` means          child.py     the process that runs user code
channel.py   frames between parent and child       output.py    what user code prints
jobs.py      what is held, and every verb of it    paces.py     how many jobs each slot is to have
errands.py   verbs on their way to Redis
environment.py  the variables that user code sees
"""
