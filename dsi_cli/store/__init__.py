"""Every table of an output folder: what it holds, how it is written, how it is read again.

``schema``   the tables and their columns, as text alone
``parquet``  one table in and out of one file: atomic, with the options that shaped it
``output``   the folder: where each table lies, the lock, what an earlier call left
``mirror``   an output folder behind a URL, by a folder of this machine that stands in for it
``runs``     `Run`, the notebook's view of an output folder

The per-checkpoint files are the truth; the tables at the top are rebuilt from them.
"""
