"""Write and read the tables of a results folder.

- ``schema``: the tables and their columns
- ``layout``: the path of each table in the folder, and the tables of an earlier call
- ``lock``: allows only one writer at a time
- ``parquet``: converts one table to and from one Parquet file, with the options that
  affected it
- ``atomic_write``: writes any file completely or not at all
- ``results``: `Results`, the tables as DataFrames

The files of single checkpoints are the source of truth; the tables at the top of the
folder are rebuilt from them.
"""
