"""Which code a function is, and how it travels.

Its digest     writer.py: source code as bytes; scopes.py: which names of its module code uses; index.py,
               sources.py: the statements of a module; tree.py: the call tree below a name;
               outline.py: a short list of its parts;
               digest.py: a function, a method, a partial or a callable object as a digest, or why it has none
Around it      first_party.py: other packages of the user; loaded.py: whether a file changed since its import;
               memo.py: the cache on disk; fingerprint.py: a hash of one function alone;
               pickled_names.py: what encoded arguments name; argument_code.py: the code behind that, compared
Travel         travelling_modules.py: which modules of this program go with a call; archive_format.py: as one value;
               by_value.py: what has no module, by cloudpickle; distributions.py: what to install for a module
Calls          canonical.py: the content address of a call

Nothing here runs or imports what it reads.
"""
