"""Input number i of a seed: the same on every machine, given the same files
(`fuzz.seeds.digest` tells).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from fuzz.mutations import mutate
from fuzz.seeds import Seed

_UNCHANGED = 0.01
"""The share of inputs that stay as they are: they must be read as ever, right after
whatever came before.
"""
_MOST_CHANGES = 6


@dataclass(frozen=True)
class Input:
    """A changed checkpoint."""

    number: int
    format: str
    """Of the file that it was made from."""
    source: str
    files: tuple[tuple[str, bytes], ...]
    trace: tuple[str, ...]
    """What was done, in order."""
    is_folder: bool = False


class Inputs:
    """All inputs of a seed.

    Parameters
    ----------
    seeds : the files to change
    seed : any number
    only : formats to take; all if empty

    Raises
    ------
    ValueError
        None of the files has one of these formats.
    """

    def __init__(
        self, seeds: Iterable[Seed], seed: int, only: Iterable[str] = ()
    ) -> None:
        self.seed = seed
        self._formats: dict[str, list[Seed]] = {}
        every = list(seeds)
        for one in every:
            if not only or one.format in only:
                self._formats.setdefault(one.format, []).append(one)
        if not self._formats:
            known = ", ".join(sorted({one.format for one in every}))
            raise ValueError(f"no files of format {', '.join(only)}: there are {known}")
        self._others = tuple(data for one in every for _, data in one.files)

    def make(self, number: int) -> Input:
        """Return an input; every format is as likely as another, and every file within
        it.
        """
        dice = Random(f"{self.seed}:{number}")
        source = dice.choice(self._formats[dice.choice(sorted(self._formats))])
        files = dict(source.files)
        trace: list[str] = []
        changes = 0
        if dice.random() >= _UNCHANGED:
            changes = next(
                count
                for count in range(1, _MOST_CHANGES + 1)
                if count == _MOST_CHANGES or dice.random() < 0.6
            )
        for _ in range(changes):
            name = dice.choice(sorted(files))
            if len(files) > 1 and dice.random() < 0.04:
                del files[name]
                trace.append(f"{name}: removed")
                continue
            files[name], what = mutate(files[name], dice, self._others)
            trace.append(f"{name}: {what}")
        return Input(
            number,
            source.format,
            source.name,
            tuple(files.items()),
            tuple(trace),
            source.is_folder,
        )
