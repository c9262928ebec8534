"""Mutations of command lines, embedded server and limits of the machine."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "refusals",
        "a command that Redis refuses counts as an empty answer",
        "simpledist/monitor/reader.py",
        "                    raise RedisRefused(trouble)\n",
        "                    continue\n",
        "tests/integration/test_refusals.py -k 'command_shows_all'",
    ),
    Mutation(
        "refusals",
        "a replica is taken for its primary",
        "simpledist/monitor/reader.py",
        '        if replication.get("role", "master") == "master":\n',
        "        if True:\n",
        "tests/integration/test_refusals.py -k replica",
    ),
    Mutation(
        "refusals",
        "an answer that may pass is no refusal",
        "simpledist/monitor/monitor.py",
        "    if found is None and not isinstance(error, RedisRefused):\n",
        "    if not isinstance(error, RedisRefused):\n",
        "tests/integration/test_refusals.py -k 'without_slots or loading'",
    ),
    Mutation(
        "edges",
        "a path in a URL is not quoted",
        "simpledist/embedded/server.py",
        "{quote(str(self._room() / 'redis.sock'))}",
        "{self._room() / 'redis.sock'}",
        "tests/integration/test_embedded.py -k any_name",
    ),
    Mutation(
        "edges",
        "a server without a watchdog runs on",
        "simpledist/embedded/watchdog.py",
        "        process.kill()\n        process.wait()\n        raise\n",
        "        raise\n",
        "tests/integration/test_embedded.py -k without_a_watchdog",
    ),
    Mutation(
        "edges",
        "the watchdog hears of nothing but the end of its pipe",
        "simpledist/embedded/watchdog.py",
        " and os.getppid() == parent: pass",
        ": pass",
        "tests/integration/test_embedded.py -k fork_of_that",
    ),
    Mutation(
        "edges",
        "a closed stream stays closed",
        "simpledist/cli/streams.py",
        "    _open_closed()\n    for",
        "    for",
        "tests/integration/test_streams.py -k closed_or_full",
    ),
    Mutation(
        "edges",
        "a full disk is a traceback",
        "simpledist/cli/options.py",
        "    except OSError as error:",
        "    except ZeroDivisionError as error:",
        "tests/integration/test_streams.py -k closed_or_full",
    ),
    Mutation(
        "edges",
        "what a terminal has no character for is an error",
        "simpledist/cli/streams.py",
        '            stream.reconfigure(errors="backslashreplace")\n',
        "            pass\n",
        "tests/integration/test_streams.py -k encoding",
    ),
    Mutation(
        "edges",
        "blocked signals stay blocked",
        "simpledist/cli/streams.py",
        "        signal.pthread_sigmask(",
        "        bool(",
        "tests/integration/test_streams.py -k blocked",
    ),
    Mutation(
        "edges",
        "any number is a timeout",
        "simpledist/config/arguments.py",
        "    if not 0 < number <= most:",
        "    if number <= 0:",
        "tests/unit/test_arguments.py",
    ),
    Mutation(
        "edges",
        "a lock is asked to wait for centuries",
        "simpledist/engine/future.py",
        "min(until - now, LONGEST_WAIT_SECONDS)",
        "until - now",
        "tests/integration/test_streams.py -k centuries",
    ),
)
