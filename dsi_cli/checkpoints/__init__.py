"""Read classifier weights from checkpoints, without executing code and without torch.

``discovery``          finds checkpoints under given paths and groups them by run
``folders``            finds the checkpoints in folders, by names and contents of files
``revisions``          finds the checkpoints of a repository's revisions
``checkpoint_reader``  describes one checkpoint as a `Record`, and reads its head or all
                       weights
``formats``            reads one container format per module: lists tensors with shapes,
                       and reads single tensors
``pickle``             interprets pickles without running them
``child_process``      runs the readers of other libraries in a separate process,
                       because they may crash
``file_access``        reads local and remote files in exact ranges
``tensors``            describes a tensor (dtype, shape, strides and storage), and reads
                       its values
``trainers``           finds the state dicts, the trainer and the metadata in a
                       checkpoint's contents
``epochs``             finds epoch and step in contents and names
``layers``             groups the parameters of a state dict into layers
``head_candidates``    lists the matrices that could be the classifier head, with
                       evidence
``head_choice``        chooses the head
``head_weight``        computes the effective weight of the head
``training_runs``      splits the checkpoints of a folder into training runs
``deduplication``      assigns epochs and skips duplicates
``training_logs``      reads the curves that a trainer logged
"""
