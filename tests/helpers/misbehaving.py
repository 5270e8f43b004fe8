"""Readers that misbehave, for the fuzzer to find: ``python
tests/helpers/misbehaving.py`` fuzzes each and prints JSON.

The fuzzer forks, so this runs in a process of its own without other threads.
"""

import json
import os
import subprocess
import time

from fuzz import campaign
from fuzz.guard import Limits
from fuzz.inputs import Input
from fuzz.readers import read

BAD = 3
"""The number of the input that each reader misbehaves on."""
LIMITS = Limits(seconds=0.4, megabytes=100, grace=0.5)


def _raises(path):
    raise KeyError(path.name)


READERS = {
    "raises": _raises,
    "hangs": lambda _: time.sleep(600),
    "allocates": lambda _: bytearray(200 << 20),
    "executes": lambda path: exec(compile("1 + 1", str(path), "exec")),
    "starts-a-process": lambda _: subprocess.run(["true"], check=False),
    "writes": lambda path: path.with_name("more").write_bytes(b"x"),
    "aborts": lambda _: os.abort(),
}


def campaign_with(misbehave):
    """Give twelve plain files to a reader that misbehaves on one of them; return the
    outcome.
    """

    def reader(path, is_folder, turn):
        if turn != BAD:
            return read(path, is_folder, turn)
        misbehave(path)
        return "ok"

    return campaign.run(
        lambda number: Input(
            number, "text", "text", (("x.pt", b"no checkpoint at all"),), ()
        ),
        range(12),
        workers=2,
        limits=LIMITS,
        reader=reader,
    )


def main():
    """Print, for each reader, how many inputs were judged and what was found."""
    told = {}
    for name, misbehave in READERS.items():
        outcome = campaign_with(misbehave)
        told[name] = [
            outcome.inputs,
            [
                [one.number, one.problem.kind, one.problem.detail]
                for one in outcome.findings
            ],
        ]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
