"""The `Run` that `open_run` returns: the store's, and what a notebook shows of it.

It is a subclass because what is shown is made by ``report``, which stands above ``store`` and reads the store's `Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsi_cli.store import results

if TYPE_CHECKING:
    from dsi_cli.report.notebook_card import ReportFrame


class Run(results.Run):
    """An output folder of ``dsi analyze``: tables as DataFrames, matrices as square labelled DataFrames.

    In a notebook it shows its runs, their best epochs, phases and warnings; ``run.show_report()`` shows the
    report in a frame.

    Parameters
    ----------
    out : path of the folder

    Raises
    ------
    UsageError
        The folder is not there, or is no output.
    """

    def _repr_html_(self) -> str:
        from dsi_cli.report.notebook_card import card

        return card(self)

    def show_report(self, height: int = 900) -> ReportFrame:
        """Return the HTML report in a frame, for the last line of a notebook's cell.

        Parameters
        ----------
        height : of the frame, in pixels

        Raises
        ------
        UsageError
            The folder has no report yet.
        """
        from dsi_cli.report.notebook_card import report_frame

        return report_frame(self, height)
