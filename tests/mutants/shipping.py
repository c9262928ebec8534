"""Calls that bring their modules: their order, and which child gets them."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

TESTS = "tests/integration/test_shipped_modules.py"
TEMPLATES = "tests/integration/test_archive_templates.py"
BATCHES = "tests/integration/test_shipped_batches.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "order of shipped calls",
        "calls overtake those whose modules are on their way",
        "simpledist/engine/big_calls.py",
        "        if self._awaited and any(name in self._awaited for name in call.needs()):\n            return False\n",
        "",
        f"{TESTS} -k in_their_order",
    ),
    Mutation(
        "order of shipped calls",
        "calls overtake those that are to be sent again",
        "simpledist/engine/big_calls.py",
        "            if not comes_back:\n                self._await_no_more(future)\n",
        "            self._await_no_more(future)\n",
        f"{TESTS} -k in_their_order",
    ),
    Mutation(
        "batches of shipped calls",
        "they are submitted together with calls that go by name",
        "simpledist/engine/departing.py",
        "    if len(futures) == 1 or all(",
        "    if True or all(",
        f"{BATCHES} -k the_moment",
    ),
    Mutation(
        "batches of shipped calls",
        "a batch that no worker serves runs at its caller",
        "simpledist/engine/shipping.py",
        "        and call.part is None\n",
        "        and call.part is None\n        and call.calls == 1\n",
        f"{BATCHES} -k travel_in_batches",
    ),
    Mutation(
        "batches of shipped calls",
        "a slow call waits for an outcome of its own name",
        "simpledist/engine/flight.py",
        "            call = dataclasses.replace(call, spec=whole.spec, origin=call)\n",
        "            pass\n",
        f"{BATCHES} -k own_outcome",
    ),
    Mutation(
        "batches of shipped calls",
        "the modules of arguments are not found in a long one",
        "simpledist/engine/call.py",
        "    if len(body) <= NAMES_BYTES:\n        return body\n",
        "    if body is not None:\n        return body\n",
        f"{BATCHES} -k name_their_modules",
    ),
    Mutation(
        "order of shipped calls",
        "Redis is asked after calls whose modules are still read",
        "simpledist/engine/calls.py",
        "            future.sent = False  # Redis need not know it: to read its modules may take long\n",
        "",
        "tests/integration/test_bad_packages.py -k take_long",
    ),
    Mutation(
        "modules of a child",
        "a call with other modules waits behind a long one",
        "simpledist/worker/slot.py",
        "len(self.jobs) > 1 or self.kept else NEVER",
        "len(self.jobs) > 1 else NEVER",
        f"{TESTS} -k behind_a_long_one",
    ),
    Mutation(
        "modules of a child",
        "a slot that waits for other modules is free",
        "simpledist/worker/waiting_jobs.py",
        "        slot = self._children.at(number)\n        if slot is not None:\n            slot.kept = True\n\n",
        "\n",
        "tests/unit/test_waiting_jobs.py",
    ),
    Mutation(
        "modules of a child",
        "each job fetches its modules",
        "simpledist/worker/archive_cache.py",
        "        if coming is None:\n",
        "        if True:\n",
        f"{TESTS} -k in_their_order",
    ),
    Mutation(
        "template of an archive",
        "each child imports for itself",
        "simpledist/worker/archive_templates.py",
        "        if not self.template.forks:\n            return True\n",
        "        if True:\n            return True\n",
        f"{TEMPLATES} -k loaded_once",
    ),
    Mutation(
        "template of an archive",
        "it imports nothing",
        "simpledist/worker/entering.py",
        "                    importlib.import_module(name)\n",
        "                    pass\n",
        f"{TEMPLATES} -k loaded_once",
    ),
    Mutation(
        "template of an archive",
        "an import that hangs is waited for",
        "simpledist/worker/watchdog.py",
        "    faulthandler.dump_traceback_later(seconds, exit=True)\n",
        "",
        f"{TEMPLATES} -k hangs",
    ),
    Mutation(
        "template of an archive",
        "the thread that bounds its import is there when it looks for threads",
        "simpledist/worker/watchdog.py",
        "        while its_thread & threads_in_kernel() and time.monotonic() < until:\n",
        "        while False:\n",
        "tests/unit/test_watchdog.py",
    ),
    Mutation(
        "template of an archive",
        "children share a random generator of a module",
        "simpledist/worker/entering.py",
        "    if shared := set(generators_in_modules()) - generators:\n",
        "    if shared := set[str]():\n",
        f"{TEMPLATES} -k draw_apart",
    ),
    Mutation(
        "template of an archive",
        "what its jobs started stays when it is killed with the worker's template",
        "simpledist/worker/template.py",
        "        for pid in self._children.keys() - self._templates:",
        "        for pid in self._children:",
        f"{TEMPLATES} -k end_with_their_worker",
    ),
    Mutation(
        "missing distributions",
        "a distribution that one program's calls lack withdraws all of `--any`",
        "simpledist/worker/refusals.py",
        'return last is not None and missing_module(last.error) != ""',
        "return False",
        "tests/integration/test_missing_distributions.py -k goes_on",
    ),
)
