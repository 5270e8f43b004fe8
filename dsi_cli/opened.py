"""The `Run` that `open_run` returns: the store's, and what a notebook shows of it.

It is a subclass because what is shown is made by ``report``, which stands above ``store`` and reads the store's `Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsi_cli.store import runs

if TYPE_CHECKING:
    from dsi_cli.report.slider import Slider


class Run(runs.Run):
    """An output folder of ``dsi analyze``: tables as DataFrames, matrices as square labelled DataFrames.

    In a notebook it shows its runs, their best epochs, phases and warnings; ``run.slider("ncsm")`` shows a matrix over the epochs.

    Parameters
    ----------
    out : path of the folder

    Raises
    ------
    UsageError
        The folder is not there, or is no output.
    """

    def _repr_html_(self) -> str:
        from dsi_cli.report.card import card

        return card(self)

    def slider(
        self, kind: str = "ncsm", split: str | None = None, run: str | None = None, most_bytes: int | None = None
    ) -> Slider:
        """Return a matrix over all epochs as a notebook shows it: a slider, the main reference beside it, no widgets.

        Parameters
        ----------
        kind : ``ncsm``, ``ncsm_centred``, ``ccsm`` or ``tncsm``
        split : of a CCSM or TNCSM; ``test`` if None, and ``train`` where there is no test
        run : needed only where the folder holds several
        most_bytes : of packed matrices, 2 MB if None; where it is not enough, values are coarser, then some epochs are means of
            blocks of classes

        Raises
        ------
        UsageError
            There is no such run or matrix; the message says which there are.
        """
        from dsi_cli.report import slider

        return slider.slider(self, self._run(run), kind, split, most_bytes or slider.BYTES)
