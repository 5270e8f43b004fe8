"""From paths to classifier weights: nothing executed, nothing read that is not needed, no torch.

``discover``  paths -> the checkpoints that lie there, run by run, and what else was found
``scan``      one checkpoint -> its `Record`: format, trainer, epoch, head, or the reason why not
``formats``   one module a container: list tensors with shapes, read one
``pickles``   the inert pickle reader that the torch formats share; ``stand_ins`` is what it builds
``tensors``   what a tensor is before it is read: dtype, shape, strides, where its bytes lie
``layouts``   what a trainer wrote -> state dicts, trainer, metadata
``epochs``    epoch and step, from contents and names; which convention the run counts by
``head``      which tensor is the classifier
``encoders``  class names out of a pickled label encoder
``logs``      curves in a file beside the checkpoints; ``event_files``, TensorBoard's
"""
