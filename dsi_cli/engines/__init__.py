"""How jobs are spread: a function and jobs in, results out as they come. Engines know nothing of classes.

``machine``  what of the machine this process may use
``local``  threads of this process
"""
