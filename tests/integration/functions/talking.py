"""A function that prints what it is given."""


def say(text: str) -> str:
    print(text)
    return "said"
