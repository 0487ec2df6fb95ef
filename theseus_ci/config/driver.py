"""`performance.driver`: a load tool of the user's own instead of the built-in generator."""

from collections.abc import Iterator

from theseus_ci.config.part import Part

TOOLS = ("k6", "wrk", "hey")


class Driver(Part, frozen=True):
    """Exactly one tool, by its script, which sends its requests to $THESEUS_URL."""

    k6: str | None = None  # JavaScript
    wrk: str | None = None  # Lua
    hey: str | None = None  # a bash script that calls hey with `-o csv`
    args: tuple[str, ...] = ()  # for the tool, or for hey's script

    @property
    def tool(self) -> str:
        """The tool's name."""
        return next(name for name in TOOLS if getattr(self, name) is not None)

    @property
    def script(self) -> str:
        """The script's path."""
        script = getattr(self, self.tool)
        assert isinstance(script, str)
        return script


def validate(driver: Driver) -> Iterator[tuple[str, str]]:
    """What cannot be carried out as written: (key path, message)."""
    given = [name for name in TOOLS if getattr(driver, name) is not None]
    if len(given) != 1:
        yield "driver", f"needs exactly one of {', '.join(TOOLS)}"
