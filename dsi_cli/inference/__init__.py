"""Run models on a labelled split: the optional part of dsi, and the only one that imports torch.

``open_dataset``          open a folder, a file or a data set by name as `Samples`; read a single image again
``dataset``               `Samples`, the record of a labelled split, and helpers for all sources
``image_folder``          folders of class folders
``sharded_dataset``       Parquet, WebDataset and saved data sets
``torchvision_datasets``  data sets of torchvision
``custom_dataset``        data sets from the user's function
``images``                decoding of images
``class_matching``        the data's classes and the classifier's
``preprocess``            the preprocessing of images and its sources
``decode_cache``          decoded samples: kept for all checkpoints, or decoded again for each
``user_code``             ``file.py:NAME`` or ``module:NAME``: the user's function
``recorded_config``       a trainer's record of its model
``models``                models from specifications
``load_weights``          loading of a checkpoint's weights into a model
``evaluator``             evaluation of a model: counts, predictions, loss, templates
``features``              logits and features of a model
``zero_shot``             networks with a text tower, whose classifier is made from class names

Models are the code of the user or of a library, never that of a checkpoint. `dsi_cli.checkpoints` reads the weights.
"""
