"""Runs side by side: what differs between networks, and which of the differences are real.

``entrants``   the runs that are compared, of one output or several, and what each is called
``matching``   the same classes and the same epochs in two runs
``between``    SAI between networks, epoch by epoch
``equal``      two runs, or two groups of repetitions, at equal accuracy: metrics, differences, intervals
``groups``     runs that repeat each other, and the band that they make of a curve
``verdict``    which network the paper's criteria prefer, and why
``whole``      all of it in one record
"""
