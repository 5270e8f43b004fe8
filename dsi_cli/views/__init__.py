"""Tables -> answers: what a person asks of an output folder. Reads tables only.

``overview``   a run at a glance: a line per few epochs
``exporting``  one matrix or table, wide and named, to a file or stdout
"""
