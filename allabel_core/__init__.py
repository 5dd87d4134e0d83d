"""Choosing texts, retrieving demonstrations, grounding answers: pure functions, no I/O."""
