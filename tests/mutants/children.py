"""Mutations of children that cannot start, process groups and forks."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = ()
