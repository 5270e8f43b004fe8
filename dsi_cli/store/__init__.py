"""Write and read the tables of a results folder.

``schema``         the tables and their columns
``layout``         where each table is in the folder, and what an earlier call left there
``lock``           one writer at a time
``parquet``        one table to and from one Parquet file, written atomically, with the options that affected it
``atomic_write``   write any file completely or not at all
``remote_output``  a results folder behind a URL, edited in a local folder
``head_matrix``    similarity matrices made on demand from a stored head, for very many classes
``results``        `Results`, the tables as DataFrames

The files of single checkpoints are the source of truth; the tables at the top of the folder are rebuilt from them.
"""
