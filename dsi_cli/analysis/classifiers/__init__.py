"""Read the classifier heads of a run and make its weight similarity matrices; results
of earlier calls are reused.
"""
