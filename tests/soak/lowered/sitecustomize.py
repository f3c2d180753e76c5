"""On PYTHONPATH of the soak's processes: folds of words and vectors come every few commits, not every few thousand passages."""

from indexer import collection, vectorstate

collection.FOLD_PASSAGES = 60
collection.FOLD_VECTORS = 80
vectorstate.FILES_PASSAGES = 150
collection.LONG_TAIL = 60
