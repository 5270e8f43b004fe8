"""Run models on a labelled split: the optional part of dsi, and the only one that
imports torch.

``open_dataset``    open a folder, a file or a data set by name as `Samples`; read a
                    single image again
``dataset``         `Samples`, the record of a labelled split, and helpers for all
                    sources
``image_folder``    folders of class folders, and the decoding of images
``torch_datasets``  data sets of torchvision and from the user's function
``class_matching``  the data's classes and the classifier's
``preprocess``      the preprocessing of images and its sources, and a trainer's record
                    of its model
``decoding``        decoded samples: kept for all checkpoints, or decoded again for
                    each
``user_code``       ``file.py:NAME``: the user's function
``models``          models from specifications, and the weights of a checkpoint in them
``evaluator``       evaluation of a model: logits and features, counts, predictions,
                    loss, templates

Models are the code of the user or of a library, never that of a checkpoint.
`dsi_cli.checkpoints` reads the weights.
"""
