"""Where the planets are: a package of our own, with a module that it imports and a table that it reads."""
