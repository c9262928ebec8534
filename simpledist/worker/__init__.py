"""The worker: a parent that talks to Redis and runs no user code; children that run it and know no Redis.

The parent
    worker.py          the rooms joined, and one loop       signals.py        what SIGTERM and SIGINT mean
    intake.py          how work comes in                    shutdown.py       how the worker stops
    life.py            when it ends by itself               options.py        with what it was started
    lane_turns.py      which lane is next                   poller.py         what the loop sleeps on
Jobs
    jobs.py            how a job comes                      batching.py       how many a child gets at once
    outcomes.py        how a job ends in its child          batch_answers.py  what became of calls of one job
    outcome_delivery.py  how outcomes come to Redis         release.py        where a job goes back, or fails
    limits.py          what a job may take, and takes       memory.py         what a process holds
    refusals.py        jobs that this worker refuses        handoff.py        jobs handed to an idle worker
    envelopes.py       what is verified and signed          other_code.py     clients that differ from us
Redis
    links.py           three connections                    commands.py       commands that wait to be sent
    heartbeat.py       how Redis knows that we live         beat_schedule.py  when the next heartbeat is due
    row.py, stats.py   what the worker says of itself       transfers.py      big values on their way
Children
    children.py        children come, go, are replaced      slot.py           one child and its jobs
    starts.py          whether children can start           template_process.py  the template, as its parent sees it
    channel.py         the connection to a child            frames.py         what travels over it
    result_buffer.py   what a child has not sent yet        mailbox.py        lines between parent and template
    printer.py, labelled_output.py, nonblocking.py          where a child's stdout goes
    waiting_jobs.py    jobs that wait for another child     archive_cache.py  modules of callers, on this disk
    blob_store.py      shared objects, in this memory       requirements.py   what --with asks for
    distributions.py   an environment with it, on this disk blob_room.py      a blob on its way
    archive_templates.py  templates that have imported modules of callers
In the processes below
    template.py        imports targets, starts, reaps       forking.py        where a child process is forked
    child.py           runs user code                       decoded.py        shared objects that it has decoded
    introduction.py    what a template says of its code     entering.py       a child takes over a caller's modules
    setup.py           what a worker does once          watchdog.py       a bound on imports and on that
    launch.py          what a process is given at its start targets.py        what `module:function` means
    output.py          what user code prints                environment.py    the variables that it sees
    lifeline.py        no process outlives its parent       mark.py, remains.py  what jobs left behind
    argument_check.py  code that arguments name, compared
    cpus.py            how many slots there are by default  gpus.py           which GPU a child sees
"""
