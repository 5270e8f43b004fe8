"""The options of ``dsi analyze`` and ``dsi watch``, each declared once.

``groups``       every option, in one frozen dataclass per group, and the sections of
                 the help
``declaration``  what a declaration holds besides name, type and default: flag,
                 placeholder, help text
``text_values``  values that are typed as text: sizes, times, lists of numbers

`dsi_cli.analysis.options` checks the values. This package imports neither NumPy, pandas
nor PyArrow, so that ``--help`` is fast.
"""
