"""Every error that this library raises on purpose."""


class AllabelError(Exception):
    """The root. The message says what was wrong and what to do."""


class InvalidInputError(AllabelError, ValueError):
    """An argument that cannot be used."""


class MissingExtraError(AllabelError, ImportError):
    """An optional package that the asked-for feature needs is not installed."""


class UnreachableClusterError(AllabelError, ConnectionError):
    """The distributed engine that was to share the work does not answer, or broke off."""
