"""Tables -> one self-contained HTML file."""
