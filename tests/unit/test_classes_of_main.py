"""A class of the program itself travels by value, and comes back as the very same class."""

from __future__ import annotations

import subprocess
import sys

WORKER = """
import sys
from simpledist.wire import serializers

point, shapes, enum = serializers.loads("pickle", sys.stdin.buffer.read())
assert "Point" not in globals()
point.x += point.scale
type(point).scale = 1000
type(point).made.append("worker")
sys.stdout.buffer.write(serializers.dumps("pickle", [point, shapes(2), enum]))
"""

CLIENT = """
import enum, subprocess, sys
from simpledist.wire import serializers

FACTOR = 7

class Base:
    children = []
    def __init_subclass__(cls):
        Base.children.append(cls.__name__)

class Point(Base):
    made = []
    scale = 1
    def __init__(self, x):
        self.x = x
    def factor(self):
        return FACTOR * self.x

class Colour(enum.Enum):
    RED = "red"

def run(point):
    call = serializers.dumps("pickle", (point, lambda n: Point(n * FACTOR), Colour.RED))
    worker = subprocess.run([sys.executable, "-c", sys.argv[1]], input=call, stdout=subprocess.PIPE, check=True)
    return serializers.loads("pickle", worker.stdout)

method, made = Point.__dict__["factor"], Point.made
back, shape, colour = run(Point(1))
assert type(back) is Point and isinstance(back, Base) and back.x == 2, vars(back)
assert type(shape) is Point and shape.x == 14, vars(shape)
assert colour is Colour.RED
# The class that stayed at home is as it was: its methods see this program's globals.
assert Point.__dict__["factor"] is method and Point.made is made and made == [] and Point.scale == 1
assert Base.children == ["Point"], Base.children
FACTOR = 100
assert back.factor() == 200
# The next call takes the class as it is now.
Point.scale = 5
assert run(Point(1))[0].x == 6
"""


def test_an_instance_of_a_class_of_main_comes_back_as_one_of_the_very_same_class() -> None:
    subprocess.run([sys.executable, "-c", CLIENT, WORKER], check=True, timeout=60)


TWICE = """
import sys
from simpledist.wire import serializers

for _ in range(2):
    size = int.from_bytes(sys.stdin.buffer.read(4), "big")
    point = serializers.loads("pickle", sys.stdin.buffer.read(size))
    print(point.scale * point.x)
"""

CLIENT_OF_TWICE = """
import subprocess, sys
from simpledist.wire import serializers

class Point:
    scale = 1
    def __init__(self, x):
        self.x = x

sent = b""
for scale in (3, 4):
    Point.scale = scale
    data = serializers.dumps("pickle", Point(10))
    sent += len(data).to_bytes(4, "big") + data
worker = subprocess.run([sys.executable, "-c", sys.argv[1]], input=sent, stdout=subprocess.PIPE, check=True)
assert worker.stdout.split() == [b"30", b"40"], worker.stdout
"""


def test_a_class_that_visits_a_child_again_is_brought_up_to_date() -> None:
    subprocess.run([sys.executable, "-c", CLIENT_OF_TWICE, TWICE], check=True, timeout=60)
