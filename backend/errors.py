"""Every error that the backend raises on purpose. Messages say what to do; none carries a secret."""

from __future__ import annotations

from allabel_core.errors import AllabelError


class BackendError(AllabelError):
    """The root of what goes wrong around the method: services, settings, projects."""


class SettingsError(BackendError, ValueError):
    """A setting is missing or wrong; the message names the environment variable."""


class LabelConfigError(BackendError, ValueError):
    """A project's label config, or data that does not fit it, cannot be pre-annotated."""


class LabelStudioError(BackendError):
    """Label Studio did not do what was asked."""


class LabelStudioUnreachableError(LabelStudioError):
    """No usable answer: no connection, a timeout, or still overloaded after the retries."""


class LabelStudioFailingError(LabelStudioUnreachableError):
    """It is there, and fails at this one thing."""


class LabelStudioUnauthorisedError(LabelStudioError):
    """The token was refused, or may not do this."""


class LabelStudioNotFoundError(LabelStudioError):
    """There is no such project, task or page."""


class LabelStudioRejectedError(LabelStudioError):
    """Label Studio answered, and refused the request or did only a part of it."""


class LanguageModelError(BackendError):
    """The language model's endpoint cannot be used; the message names what to change."""
