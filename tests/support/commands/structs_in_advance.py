"""The fork server imports this, so that the structs of all modules are examined.

A command would otherwise examine them for half of its processor time: it has more modules than one
that is installed.
"""

from anyscale.domain.struct_types import examine_structs

examine_structs()
