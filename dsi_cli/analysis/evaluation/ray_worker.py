"""Running the model on labelled data in another process: what travels there, and what comes back.

Neither the model nor the images travel: the options do, and each process builds the one and decodes the other once, for all the
checkpoints that it is given. Data must be the same there: they are known by names, sizes and times of their files.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_state import RunState
from dsi_cli.analysis.evaluation.dataset_cache import Data
from dsi_cli.analysis.evaluation.from_model import Evaluated, Model
from dsi_cli.analysis.evaluation.stored import Made, ask
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import Labelling
from dsi_cli.checkpoints.discovery import Run
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import UsageError

Job = tuple[int, Record]
"""A source's number, and a checkpoint."""


def lost(_job: Job, reason: str) -> Made:
    """Return what comes back of an answer that nothing lived to give."""
    return Made(None, {}, reason)


@dataclass(frozen=True)
class Source:
    """What a source is made from."""

    run: Run
    settled: list[Record]
    names: tuple[str, ...] | None
    labelling: Labelling
    split: str
    targets: NDArray[np.int64]
    data_id: str
    has_fitted: bool


def source_of(one: Evaluated) -> Source:
    """Return a source as it travels."""
    state, model = one.model.state, one.model
    data_id = one.data.samples[one.split].id
    return Source(state.run, state.settled, state.names, model.one, one.split, one.targets, data_id, model.has_fitted)


@dataclass
class Answerer:
    """Makes the answers of some sources, and keeps for home what there is to be said."""

    sources: Sequence[Source]
    options: Options
    tasks_a_machine: int
    """How many processes like this one share a machine's memory."""
    _notes: list[str] = field(default_factory=list)
    _evaluated: dict[int, Evaluated] = field(default_factory=dict)

    def __call__(self, job: Job) -> Made:
        """Return the answer of a source at a checkpoint.

        Raises
        ------
        UsageError
            The model or the data cannot be right, or this machine does not see the data.
        """
        number, record = job
        source = self._source(number)
        made = ask(source, record)
        notes, self._notes[:] = tuple(self._notes), []
        return made._replace(notes=notes, text_weight=source.model.state.text_weights.pop(record.path, None))

    def _source(self, number: int) -> Evaluated:
        if number not in self._evaluated:
            one = self.sources[number]
            self._require_same(one)
            self._evaluated[number] = Evaluated(one.split, self._data, self._model(one), one.targets, None, _ignore)
        return self._evaluated[number]

    def _model(self, one: Source) -> Model:
        """Return the model of a source's run, which is that of its other split as well."""
        for other, made in self._evaluated.items():
            if self.sources[other].run.name == one.run.name:
                return made.model
        model = Model(
            RunState(one.run, settled=one.settled, names=one.names), one.labelling, self.options, self._notes.append
        )
        model.has_fitted = one.has_fitted
        return model

    @cached_property
    def _data(self) -> Data:
        asked = replace(self.options.evaluation, download=False)  # which was done at home
        data = Data(asked, Path(tempfile.gettempdir()), self._notes.append, _ignore, shares=self.tasks_a_machine)
        try:
            data.open()
        except UsageError as error:
            raise UsageError(f"{platform.node()}, a node of the cluster: {error}") from None
        return data

    def _require_same(self, one: Source) -> None:
        if self._data.samples[one.split].id != one.data_id:
            raise UsageError(
                f"{platform.node()}, a node of the cluster, has other {one.split} data at the same place: they must lie where "
                "every node sees them, or be the same copy with the same times"
            )


def _ignore(*_: Any) -> None:
    """Take progress that nobody watches."""
