"""The options that say what does the work."""

from __future__ import annotations

from typing import Annotated

import typer

from dsi_cli.engines import DEFAULT, ENGINES

__all__ = ["DEFAULT", "Address", "GpusPerTask", "Name"]

Name = Annotated[
    str,
    typer.Option("--engine", help="What does the work: " + "; ".join(f"{one.name} ({one.title})" for one in ENGINES) + "."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="The Ray cluster: auto (the one that runs on this machine), HOST:PORT or ray://HOST:PORT; by default RAY_ADDRESS,"
        " else Ray is started here, for this call.",
    ),
]
GpusPerTask = Annotated[
    float, typer.Option("--gpus-per-task", help="GPUs of the cluster that running a model on images takes: 1, or 0.25.")
]
