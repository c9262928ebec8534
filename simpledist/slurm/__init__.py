"""Workers as jobs of Slurm, as many as there is demand for.

commands.py     sbatch, squeue and scancel: one function each     batch_job.py  what a job runs, and its secrets
worker_jobs.py  the jobs of one command: counted, submitted       follower.py   the loop: looks, follows, drains

Knows nothing of command lines: cli/slurm.py reads them.
"""
