"""Mutations of lanes, the question `live` and refusals."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = ()
