"""The WSGI application of label-studio-ml around ALLabel: `gunicorn allabel_backend._wsgi:app`."""

from __future__ import annotations

from label_studio_ml.api import init_app

from .model import ALLabel

app = init_app(model_class=ALLabel)
