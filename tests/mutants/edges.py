"""Mutations of command lines, embedded server and limits of the machine."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = ()
