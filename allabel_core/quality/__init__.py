"""How good suggestions are, whether people are consistent, and whether to go on: figures from counts."""
