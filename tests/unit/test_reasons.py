"""One table says everything about a reason of a local run; pages and commands take their words from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from simpledist.reasons import MAY_BE_QUEUED, REASONS, SUSPECT, TRANSIENT, WHYS, address, sentence, words

ROOT = Path(__file__).parents[2]

# Every word that a call may carry, those of parts that are still being built too.
WORDS = {*WHYS, "memory", "other_code", "disabled", "undeliverable", "key", "queue_full", "closed"}
UNASKED = {"no_worker", "redis_down", "redis_refused", "key", "other_code", "undeliverable", "memory", "too_big"}


def test_no_reason_lacks_its_words() -> None:
    assert set(REASONS) >= WORDS


@pytest.mark.parametrize("why", WHYS)
def test_each_reason_stands_in_the_readme_and_in_operations(why: str) -> None:
    assert f"\n[`{why}`]: {address(why)}\n" in (ROOT / "README.md").read_text()
    assert f"`{why}` |" in (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("why", REASONS)
def test_the_address_of_each_reason_leads_to_its_row(why: str) -> None:
    page, _, anchor = address(why).partition("#")
    (row,) = [line for line in (ROOT / page).read_text().splitlines() if f'<a id="{anchor}"></a>' in line]
    assert row.startswith("| <a ")
    assert f"`{why}` | {REASONS[why].words} |" in row


def test_what_may_kill_its_process_neither_passes_nor_waits_in_redis() -> None:
    assert {"crashed", "lost", "memory"} == SUSPECT
    assert not SUSPECT & (TRANSIENT | MAY_BE_QUEUED)


@pytest.mark.parametrize("why", REASONS)
def test_each_reason_says_what_happened_and_what_to_do_unless_it_was_asked_for(why: str) -> None:
    reason = REASONS[why]
    assert reason.words
    assert reason.remedy or reason.asked_for
    assert words(why) == reason.words
    assert sentence(why).startswith(reason.words)
    assert reason.remedy in sentence(why)
    assert "|" not in reason.words + reason.remedy


def test_what_the_cluster_could_not_do_was_not_asked_for() -> None:
    assert not any(REASONS[why].asked_for for why in UNASKED)


def test_a_word_of_a_newer_version_stands_for_itself() -> None:
    assert words("sunspots") == sentence("sunspots") == "sunspots"
    assert words(None) == ""
