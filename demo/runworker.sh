#!/bin/sh
# A worker for everything in fns.py; more options: simpledist-worker --help
cd "$(dirname "$0")" && exec simpledist-worker fns "$@"
