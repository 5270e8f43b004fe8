"""Read pickles without executing them: plain data and inert objects only."""
