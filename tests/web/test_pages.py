"""Every route as a script sees it: codes, headers, who may ask, what is escaped."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from simpledist.broker.client_demand import AtClient, text_of
from tests.stage import Stage
from tests.web.site import application, json_of

PAGES = ["/", "/functions", "/functions/fib", "/workers", "/workers/w1", "/jobs", "/jobs/c1-33", "/errors"]
OTHERS = ["/api/snapshot.json", "/api/stream.json", "/api/scale.json?functions=fib"]
PROBES = ["/healthz", "/readyz"]
TOKEN = "t" * 40


def client_of(stage: Stage, **options: Any) -> FlaskClient:
    return application(stage.monitor(), **options).test_client()


@pytest.fixture
def client(busy: Stage) -> FlaskClient:
    return client_of(busy)


@pytest.mark.parametrize("path", PAGES + OTHERS + PROBES)
def test_every_route_answers_get_and_head_and_refuses_what_would_change(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert client.head(path).status_code == 200
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert client.open(path, method=method).status_code == 405
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/nope", "/functions/nope", "/workers/nope", "/jobs/nope", "/functions/a/b", "/static/nope.css", "/api"]
)
def test_unknown_names_are_404(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "Content-Security-Policy" in answer.headers


def test_pages_hold_no_inline_script_or_style(client: FlaskClient) -> None:
    for path in PAGES:
        text = client.get(path).text
        assert not re.search(r"<script(?![^>]* src=)", text), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=(?![^<]*&gt;)", re.sub(r"onerror", "", text)), path


def test_hostile_names_and_texts_are_escaped_and_short(client: FlaskClient) -> None:
    for path in [*PAGES, "/jobs?function=%3Cimg%20src=x%3E", "/jobs?state=queued&worker=%22%3E%3Cb%3E"]:
        text = client.get(path).text
        assert "<img" not in text, path
        assert "<b>no" not in text, path
        assert "<script>alert" not in text, path
        assert "\x1b" not in text, path
        assert "\u202e" not in text, path
        assert "long" * 60 not in text, path
        assert "49" not in text.partition("img src=x")[2][:40], "a template was filled twice"


def test_a_name_of_any_length_fits_its_cell(client: FlaskClient) -> None:
    for path in PAGES:
        cells = re.findall(
            r">([^<>]+)<", re.sub(r"<(title|h1|pre|p)\b.*?</\1>", "", client.get(path).text, flags=re.DOTALL)
        )
        assert max(map(len, re.split(r"\s+", " ".join(cells)))) <= 64, path


def test_other_host_names_are_refused(client: FlaskClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1", ""):
        assert client.get("/", headers={"Host": host}).status_code in (400, 403), host
    for host in ("127.0.0.1:8080", "localhost", "[::1]:8080"):
        assert client.get("/", headers={"Host": host}).status_code == 200, host


def test_a_named_host_is_answered_and_any_other_only_where_all_addresses_are_served(busy: Stage) -> None:
    named = client_of(busy, hosts=["10.1.2.3"], token=TOKEN)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert named.get("/", headers={"Host": "10.1.2.3:8080", **bearer}).status_code == 200
    assert named.get("/", headers={"Host": "evil.example", **bearer}).status_code == 403
    everywhere = client_of(busy, hosts=["0.0.0.0"], token=TOKEN)
    assert everywhere.get("/", headers={"Host": "host.example", **bearer}).status_code == 200
    assert everywhere.get("/", headers={"Host": "host.example"}).status_code == 401


def test_without_the_token_nothing_is_shown(busy: Stage) -> None:
    client = client_of(busy, token=TOKEN)
    for path in [*PAGES, *OTHERS, "/static/style.css", "/nope"]:
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Cookie": "a=b"}):
            answer = client.get(path, headers=given)
            assert answer.status_code == 401, (path, given)
            assert "fib" not in answer.text
    assert client.get("/?token=wrong").status_code == 401
    assert client.get("/api/snapshot.json", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_a_browser_brings_the_token_once_and_keeps_it_in_a_cookie(busy: Stage) -> None:
    client = client_of(busy, token=TOKEN)
    answer = client.get(f"/functions/fib?token={TOKEN}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/functions/fib")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert client.get("/functions/fib").status_code == 200
    assert client.get(f"//evil.example/?token={TOKEN}").headers.get("Location", "/").count("//") == 0


def test_a_redis_that_is_away_is_said_plainly(busy: Stage) -> None:
    client = client_of(busy)
    busy.server.stop()
    for path in [*PAGES, "/functions/nope"]:
        answer = client.get(path)
        assert answer.status_code == 503
        assert "Redis is away" in answer.text
        assert "This page comes back by itself" in answer.text
    for path in [*OTHERS, "/readyz"]:
        assert client.get(path).status_code == 503
    assert client.get("/readyz").text == "Redis is away\n"
    assert client.get("/healthz").status_code == 200, "a restart would not bring Redis back"
    busy.server.start()
    assert client.get("/readyz").status_code == 200


def test_probes_answer_without_the_token_with_one_word(busy: Stage) -> None:
    client = client_of(busy, hosts=["10.1.2.3"], token=TOKEN)
    for path in PROBES:
        answer = client.get(path, headers={"Host": "10.1.2.3:8080"})
        assert (answer.status_code, answer.text) == (200, "ok\n")
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 403
        assert client.get(f"{path}/").status_code == 401


def test_a_redis_that_evicts_is_warned_of(stage: Stage) -> None:
    client = client_of(stage)
    assert "noeviction" not in client.get("/").text
    assert json_of(client.get("/api/snapshot.json"))["redis"]["evicts"] is None
    stage.link.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        assert "CONFIG SET maxmemory-policy noeviction" in client.get("/").text
        assert json_of(client.get("/api/snapshot.json"))["redis"]["evicts"] == "allkeys-lru"
    finally:
        stage.link.call("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_an_empty_cluster_tells_what_to_type_next(stage: Stage) -> None:
    client = client_of(stage)
    for path, words in {
        "/": "simpledist-worker fns:fib",
        "/functions": "simpledist-worker fns:fib",
        "/workers": "simpledist-worker fns:fib",
        "/jobs": "simpledist call fib 20",
        "/jobs?state=ended": "simpledist call fib 20",
        "/errors": "No errors",
    }.items():
        assert words in client.get(path).text, path


def test_the_api_says_what_its_page_of_documentation_says(client: FlaskClient) -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    snapshot, stream = json_of(client.get("/api/snapshot.json")), json_of(client.get("/api/stream.json"))
    rows: list[dict[str, Any]] = [snapshot, *snapshot["functions"], *snapshot["workers"], *snapshot["running"], stream]
    for row in rows:
        for name in row:
            assert f"`{name}`" in page, name
    assert (snapshot["schema"], stream["schema"]) == (1, 1)


def test_the_api_counts_what_happened(client: FlaskClient) -> None:
    snapshot = json_of(client.get("/api/snapshot.json"))
    fib = next(one for one in snapshot["functions"] if one["function"] == "fib")
    assert (fib["submitted"], fib["returned"], fib["raised"], fib["local"]) == (40, 30, 3, {"no_worker": 4})
    assert (fib["queued"], fib["running"], fib["workers"]) == (4, 3, 2)
    assert len(snapshot["running"]) == 3
    stream = json_of(client.get("/api/stream.json"))
    assert len(stream["bars"]) == 36
    assert [track[:3] for track in stream["tracks"] if track[0] == "w1"][:4] == [
        ["w1", "alder", slot] for slot in range(4)
    ]


def test_the_api_goes_with_the_cluster(busy: Stage) -> None:
    client = client_of(busy)

    def queued() -> int:
        return next(one["queued"] for one in json_of(client.get("/api/snapshot.json"))["functions"])

    was = queued()
    busy.submit(3)
    assert queued() == was + 3


def test_pages_say_why_calls_ran_at_their_clients(client: FlaskClient) -> None:
    for path in ("/", "/functions", "/functions/fib"):
        assert "<dd>no live worker offers it <code>no_worker</code></dd>" in client.get(path).text, path


def test_lists_are_paged_and_filtered(busy: Stage) -> None:
    busy.submit(250, "gcd@2")
    client = client_of(busy)
    first, third = client.get("/jobs?state=queued").text, client.get("/jobs?state=queued&page=3").text
    assert "page 1 of 3, 254 in all" in first
    assert "page 3 of 3" in third
    only = client.get("/jobs?state=queued&function=gcd@2").text
    assert "250 in all" in only
    assert 'href="/functions/fib"' not in only.partition("<tbody>")[2]
    running = client.get("/jobs?worker=w2").text
    assert "Nothing runs just now" in running
    for odd in ("page=0", "page=-3", "page=x", "page=99999999999999999999", "state=nonsense"):
        assert client.get(f"/jobs?{odd}").status_code == 200


def test_a_job_is_found_after_its_keys_are_gone(busy: Stage) -> None:
    client = client_of(busy)
    busy.link.call("DEL", busy.keys.named("job", "c1-31"))
    for path in ("/jobs/c1-31", "/jobs/c1-31?function=fib", "/jobs/c1-31?function=nope"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "Only its attempts are remembered" in answer.text


def test_a_worker_that_does_not_work_is_red_and_its_page_says_what_to_do(stage: Stage) -> None:
    now_ms = round(time.time() * 1000)
    refusals = {"gcd": {"why": "worker_error", "error": "No module named 'pandas'", "count": 207, "last": now_ms}}
    trouble = "`complete` never gets through to Redis: NOPERM this user has no permissions"
    stage.worker("good", "fib", "gcd", keys=["aa"])
    stage.worker("also-good", "fib", "gcd", keys=["aa"])
    stage.worker("stuck", trouble=trouble, trouble_kind="commands", keys=["aa"])
    stage.worker("childless", trouble="no child can start: the port is taken", trouble_kind="children", keys=["aa"])
    stage.worker("stranger", "fib", keys=["bb"])
    stage.worker("stale", "fib", keys=["aa"], mismatched={"fib": now_ms})
    lacks = {"sklearn": now_ms, "long_ago": 1}
    stage.worker("poor", "fib", "gcd", keys=["aa"], refusals=refusals, missing=lacks, distributions={"numpy": "2.1.0"})
    stage.worker("withdrawn", "fib", keys=["aa"], refusals=refusals, withdrawn=["gcd"])
    stage.worker("old", "fib", keys=["aa"], protocol=1)
    client = client_of(stage)
    everything = client.get("/workers").text
    for id, word, said in (
        ("stuck", "stuck", "never gets through"),
        ("childless", "no child", "the port is taken"),
        ("stranger", "other key", "--secret-file"),
        ("stale", "other code", "other code of fib"),
        ("poor", "missing module", "install scikit-learn there"),
        ("withdrawn", "withdrawn", "does not offer gcd"),
        ("old", "other version", "speaks protocol 1"),
    ):
        page = client.get(f"/workers/{id}").text
        assert f'<span class="state bad">{word}</span>' in page, id
        assert f'<span class="state bad">{word}</span>' in everything, id
        assert said in page, id
        assert "What to do:" in page, id
    assert '<span class="state alive">alive</span>' in client.get("/workers/good").text
    assert "What to do:" not in client.get("/workers/good").text
    assert "long_ago" not in client.get("/workers/poor").text
    assert "<span>numpy 2.1.0</span>" in client.get("/workers/poor").text
    assert "distributions" not in client.get("/workers/good").text
    first = client.get("/").text
    assert 'class="warning red" role="alert"' in first
    assert "a problem" in first, "more than four are counted"
    gcd = client.get("/functions/gcd").text
    assert "stopped offering it" in gcd
    assert ">label of withdrawn</a> <span" not in gcd.partition("Workers that offer it")[2]


def test_a_killed_worker_is_not_among_those_that_offer_a_function(stage: Stage) -> None:
    stage.worker("w1", "fib")
    stage.worker("w2", "fib")
    stage.link.call("HSET", stage.keys.heartbeats, "w2", 1)
    stage.broker.reap(workers=[("w2", "")])
    page = client_of(stage).get("/functions/fib").text.partition("Workers that offer it")[2]
    assert "label of w1" in page
    assert "label of w2" not in page


def test_the_message_of_an_error_stands_beside_its_type(stage: Stage) -> None:
    stage.worker("w1")
    traceback = "Traceback (most recent call last):\n  x\nshop.Missing: no such shoe\nsize 47"
    stage.run(1, error=f"shop.Missing: gone\nfns.py:3 in f\n{traceback}")
    for path in ("/errors", "/functions/fib"):
        page = client_of(stage).get(path).text
        assert "no such shoe size 47" in page.partition("<details>")[0], path


def test_one_job_is_one_job_and_a_name_that_no_one_offers_or_calls_fades(stage: Stage) -> None:
    stage.submit(1, "lonely")
    stage.broker.ack("c1", [], {("mistyped", "no_worker"): 1})
    client = client_of(stage)
    assert "1 job of" in client.get("/").text
    assert "1 job waits" in client.get("/functions/lonely").text
    assert "faded" not in client.get("/functions").text
    stage.link.call("HSET", stage.keys.named("meta", "mistyped"), "wanted", 1)
    stage.link.call("DEL", stage.keys.named("history", "mistyped"))
    faded = client_of(stage).get("/functions").text
    assert "no worker offers it, no client calls it" in faded
    assert 'class="fn faint" href="/functions/mistyped"' in faded


def test_the_call_of_a_function_that_travels_is_not_sent_to_an_impossible_command(stage: Stage) -> None:
    stage.submit(1, "simpledist.any@3.11")
    page = client_of(stage).get("/").text
    assert "MODULE:simpledist.any" not in page
    assert "simpledist-worker --any" in page


def test_what_clients_compute_for_want_of_a_worker_is_shown(busy: Stage) -> None:
    demand = text_of({"nobody@9": AtClient(1200, 0.4)})
    busy.broker.nudge("c1", busy.link.identity, [], demand=demand)
    client = client_of(busy)
    assert "1,201 jobs wait or run at clients" in client.get("/functions").text
    page = client.get("/functions/nobody@9").text
    assert "1,200 waiting, 1 running" in page
    rows = {one["function"]: one for one in json_of(client.get("/api/snapshot.json"))["functions"]}
    assert (rows["nobody@9"]["demand"], rows["nobody@9"]["waiting_at_clients"]) == (1200.4, 1200)
    assert rows["fib"]["demand"] == rows["fib"]["queued"] + rows["fib"]["running"] > 0
