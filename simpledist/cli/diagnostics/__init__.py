"""Checks of `simpledist doctor`, and their findings; ../doctor.py prints them.

facts.py    what it asks Redis and this machine    server.py   what is wrong with Redis and the way to it
finding.py  one line of the report                 machine.py  ... with the key and token files of this machine
report.py   all findings in their order            cluster.py  ... with workers, queues and calls
                                                   server_flaws.py  ... known flaws of the server's version
"""
