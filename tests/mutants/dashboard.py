"""Mutations of the dashboard: who may ask, what a page shows of hostile names, and what it says where Redis is away."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

PAGES = "tests/web/test_pages.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "dashboard",
        "any host name is answered",
        "web/guard.py",
        "if not anywhere and not _host_allowed(request.host, allowed):",
        "if False:",
        f"{PAGES} -k host_name",
    ),
    Mutation(
        "dashboard",
        "no token is asked for",
        "web/guard.py",
        "if token is None or request.path in open_paths or _has_token(token):",
        "if True:",
        f"{PAGES} -k without_the_token",
    ),
    Mutation(
        "dashboard",
        "the token stays in the address",
        "web/guard.py",
        "            return _remembered(token)\n",
        "            return None\n",
        f"{PAGES} -k brings_the_token_once",
    ),
    Mutation(
        "dashboard",
        "scripts can read the token",
        "web/guard.py",
        "httponly=True",
        "httponly=False",
        f"{PAGES} -k brings_the_token_once",
    ),
    Mutation(
        "dashboard",
        "answers have no security headers",
        "web/guard.py",
        "    app.after_request(mark)\n",
        "",
        f"{PAGES} -k 'every_route or unknown_names'",
    ),
    Mutation(
        "dashboard",
        "names are put into pages as they are",
        "web/app.py",
        "    app.jinja_env.trim_blocks = ",
        "    app.jinja_env.autoescape = False\n    app.jinja_env.trim_blocks = ",
        f"{PAGES} -k hostile",
    ),
    Mutation(
        "dashboard",
        "a name of any length is shown whole",
        "web/human.py",
        "return text if len(text) <= limit else",
        "return text if True else",
        f"{PAGES} -k fits_its_cell",
    ),
    Mutation(
        "dashboard",
        "it counts as well without Redis",
        "web/probes.py",
        "        if redis.ok:\n",
        "        if True:\n",
        f"{PAGES} -k is_away",
    ),
    Mutation(
        "dashboard",
        "what Redis refuses of a page looks empty",
        "web/pages.py",
        "if not (redis := monitor.redis()).ok:",
        "if not (redis := monitor.redis()).ok and False:",
        "tests/integration/test_refusals.py -k page_shows",
    ),
    Mutation(
        "dashboard",
        "an answer of the API is never made again",
        "web/api.py",
        "if made is None or made[0] is not now:",
        "if made is None:",
        f"{PAGES} -k api_goes_with",
    ),
    Mutation(
        "dashboard",
        "the reasons of local runs are words of the program",
        "web/human.py",
        '        "why": words,\n',
        '        "why": str,\n',
        f"{PAGES} -k why_calls_ran",
    ),
)
