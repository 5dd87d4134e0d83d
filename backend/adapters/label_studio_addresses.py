"""Addresses of texts that a task's data refer to, which Label Studio serves.

Label Studio writes them as people reach it (LABEL_STUDIO_HOST, with the path below which a proxy serves
it); they are read where it is reached from here.
"""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import httpx

from ..errors import LabelStudioRejectedError

# Where Label Studio serves the contents of tasks. A task must not make us read anything else with
# our token, such as its API.
TEXT_PATHS = ("/data/", "/tasks/", "/storage-data/")


def text_url(address: str, base_url: str, public_url: str = "") -> str:
    """The address below ``base_url`` of a text that is named by its address there, by that below
    ``public_url``, or by the path of one of these.

    :raises LabelStudioRejectedError: it is none of a text that Label Studio serves.
    """
    try:
        # The base's own host for what has none.
        named = urlsplit(str(httpx.URL(urljoin(f"{base_url}/", address))))
        base = urlsplit(str(httpx.URL(base_url)))
        public = urlsplit(str(httpx.URL(public_url or base_url)))
    except (ValueError, httpx.InvalidURL) as error:
        raise LabelStudioRejectedError("The address of a task's text is not one") from error
    at_base = (named.scheme, named.netloc) == (base.scheme, base.netloc)
    # A proxy may speak https where Label Studio believes that it is http.
    at_public = named.scheme in ("http", "https") and _host(named) == _host(public) and bool(public_url)
    prefixes = [base.path] * at_base + [public.path] * (at_public or (at_base and bool(public_url)))
    for prefix in sorted((each.rstrip("/") for each in prefixes), key=len, reverse=True):
        path = named.path.removeprefix(prefix)
        if not named.path.startswith(prefix) or not path.startswith(TEXT_PATHS):
            continue
        if ".." not in unquote(unquote(path)):
            return f"{base_url}{path}" + (f"?{named.query}" if named.query else "")
    at = base_url if public_url in ("", base_url) else f"{base_url} and {public_url}"
    raise LabelStudioRejectedError(
        f"The text of a task lies outside {at}. Where people reach Label Studio at another address, set "
        "LABEL_STUDIO_PUBLIC_URL to it; otherwise import the text itself, upload the file, or connect the "
        "storage to Label Studio: other addresses are not read"
    )


def _host(url: SplitResult) -> tuple[str, int | None]:
    return url.hostname or "", url.port
