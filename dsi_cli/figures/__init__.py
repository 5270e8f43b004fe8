"""Tables -> matplotlib figures and animations. Reads tables only, and never imports torch.

``style``      sizes, fonts and colours of a figure, for paper and screen
"""
