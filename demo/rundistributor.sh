#!/bin/sh
# The distributor, with its dashboard on http://127.0.0.1:8080; more options: simpledist-distributor --help
exec simpledist-distributor "$@"
