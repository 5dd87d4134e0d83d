"""Files of texts, with or without annotations, as people have them: one module a format."""
