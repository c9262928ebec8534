"""The distributor: the duties in a loop. None, one or five may run: there is no leader.

deaths.py  who has died
duties.py  one pass over the duties          daemon.py  the loop, and its connection
"""
