"""Matplotlib figures and animations from the tables of a results folder. The package never imports torch.

``catalogue``       the list of figures
``figure_options``  the options of a figure
``save``            checks options, draws figures and writes files
``curves``          curves over epochs, all runs overlaid
``comparison``      curves of several runs for a comparison
``training``        SAI with loss and learning rate on twin axes
``typicality``      typicality of right and wrong samples: curves, a table, histograms
``heatmaps``        matrices at chosen epochs side by side
``dendrogram``      hierarchical clusterings next to their matrices
``image_grid``      the worst mistakes as a grid of images
``animation``       a matrix over the epochs with the curve of its SAI
``axes``            one pair of axes: curves, chance levels, legends
``phase_bands``     the phases of a run as bands behind its curve
``panel_layout``    layout of a figure in inches
``row_labels``      class names and group brackets next to a heat map
``color_scales``    the colours of a matrix's values
``style``           sizes, fonts and colours
"""
