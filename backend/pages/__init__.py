"""The web pages: templates, their static files, and who may see them."""
