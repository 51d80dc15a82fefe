"""A module."""
import os
from a.b import c as d, e

LIMIT = 10
NAMES = ["a", 'b', f"c{LIMIT!r}"]


@decorator(1, key=None)
class Store(Base, metaclass=Meta):
    """Holds things."""

    size: int = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args)
        self._items = {k: v for k, v in kwargs.items() if v is not None}

    async def get(self, name: str, default=None) -> int:
        # A comment.
        async with self.lock as held:
            return await self._items.get(name, default)


def main(argv):
    for at, arg in enumerate(argv):
        if arg == "-v" and not at:
            print("verbose", end="")
        elif arg in ("-q", "--quiet"):
            continue
        else:
            raise ValueError(arg) from None
    try:
        x = lambda a, b=1: a + b ** 2
        assert isinstance(x(1), int), "no"
    except (OSError, ValueError) as error:
        del x
    finally:
        global LIMIT
        LIMIT += 1
    while True:
        break
    match argv:
        case [first, *rest]:
            return first
        case _:
            pass
