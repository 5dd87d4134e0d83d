"""The figures as JSON, documented by OpenAPI: the same that pages and terminal show."""
