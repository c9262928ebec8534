"""The three commands: `simpledist`, `simpledist-worker`, `simpledist-distributor`. Start here:

options.py has what all of them share (options, log lines, exit codes), main.py the subcommands of `simpledist`, each
in a file of its name.
"""
