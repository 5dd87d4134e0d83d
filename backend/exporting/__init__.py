"""What people and the model have annotated, in the formats of other programs."""
