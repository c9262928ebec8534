"""Mutations of what runs inside a child: random state, output, exceptions."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = ()
