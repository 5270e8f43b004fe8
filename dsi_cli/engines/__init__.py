"""How jobs are spread: a function and jobs in, results out as they come. Engines know nothing of classes.

``local``  threads of this process
"""
