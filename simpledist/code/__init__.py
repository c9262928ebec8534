"""Which code a function is: a digest of its call tree by source, the same on every supported Python and machine.

writer.py  source code as bytes          scopes.py  which names of its module code uses
sources.py the statements of a module    tree.py    the call tree below a name
digest.py  a function, a method, a partial or a callable object as a digest, or why it has none

Nothing here runs or imports what it reads.
"""
