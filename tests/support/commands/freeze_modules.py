"""The fork server imports this after them: its modules are of no interest to a garbage collector.

A forked process would otherwise visit, and therefore copy, them in each collection.
"""

import gc

gc.collect()
gc.freeze()
