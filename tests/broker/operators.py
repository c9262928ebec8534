"""The rules of the state machine for operators, who steer what others run."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.broker.drawing import WORKERS, chance, function_names, masks, some
from tests.broker.workers import Workers


class Operators(Workers):
    """What operators do to the cluster of `Workers`."""

    @rule(mask=masks)
    def drain(self, mask: int) -> None:
        workers = some(mask, WORKERS)
        words = self.broker.drain(workers)
        assert words == self.model.drain(workers)
        for worker, word in zip(workers, words, strict=True):
            asked = self.bench.redis("LREM", self.bench.keys.control(worker), 0, "drain")
            assert bool(asked) == (word == "asked"), "it hears of it once"
        self.checked()

    @rule(function=function_names)
    def forget(self, function: str) -> None:
        word = self.broker.forget(function)
        assert ("forgotten" if word == "unknown" else word) == self.model.forget(function)
        for template in ("meta", "lanes", "cached", "recent") if word in ("forgotten", "unknown") else ():
            assert not self.bench.exists(template, function)
        self.checked()

    @rule(function=function_names, enable=st.booleans(), really=chance)
    def disable(self, function: str, *, enable: bool, really: bool) -> None:
        if not (really or enable):
            return
        answer = self.broker.disable(function, enable=enable)
        if answer[0] == "unknown":
            assert function not in self.model.disabled
            assert not self.model.all_offers(function)
        else:
            assert answer == self.model.disable(function, enable=enable)
        self.checked()
