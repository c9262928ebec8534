"""Which colour and pattern a function has: apart from the others, and always the same."""

from __future__ import annotations

from simpledist.monitor.looks import COLOURS, LOOKS, Look, Looks

DEMO = ["args", "fib", "mandelbrot", "pi", "primes", "throw"]


def looks_of(*rounds: list[str]) -> dict[str, Look | None]:
    looks = Looks()
    for names in rounds:
        looks.see(names)
    return {name: looks.of(name) for names in rounds for name in names}


def test_the_first_eight_functions_have_eight_colours_whatever_their_names() -> None:
    for batch in range(50):
        names = [f"f{batch}_{number}" for number in range(COLOURS)]
        assert len({look.colour for look in looks_of(names).values() if look}) == COLOURS
    assert len({look.colour for look in looks_of(DEMO).values() if look}) == len(DEMO)


def test_no_two_of_the_first_32_functions_look_the_same() -> None:
    names = [f"f{number}" for number in range(LOOKS)]
    assert len(set(looks_of(names).values())) == LOOKS
    assert all(looks_of([f"f{number}" for number in range(LOOKS + 20)]).values()), "more functions repeat looks"


def test_a_function_keeps_its_look_when_others_come() -> None:
    before = looks_of(DEMO)
    assert looks_of(DEMO, [f"f{number}" for number in range(100)]).items() >= before.items()


def test_the_same_functions_look_the_same_after_a_restart() -> None:
    assert looks_of(DEMO) == looks_of(DEMO[::-1])


def test_a_function_that_was_not_seen_has_no_look() -> None:
    assert Looks().of("fib") is None
