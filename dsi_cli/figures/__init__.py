"""Matplotlib figures and animations from the tables of a results folder. The package
never imports torch.

``catalogue``       the list of figures, and their options
``save``            checks options, draws figures and writes files
``curves``          curves over epochs of all runs: agreement, NIDM and WIDM, WSI
``typicality``      typicality of right and wrong samples over epochs
``heatmaps``        matrices at chosen epochs side by side
``scatter``         the ranks of all pairs in the network and in WordNet
``dendrogram``      trees of the network's classes and of WordNet's, facing each other
``image_grid``      the worst mistakes as a grid of images
``animation``       matrix, WordNet and agreement over the epochs
``axes``            pairs of axes for curves: layout, chance levels, intervals, legend
``color_scales``    the colours of a matrix's values
``style``           sizes, fonts and colours
"""
