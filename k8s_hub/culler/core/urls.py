"""URLs as admins write them: whether they are some, and what of them may be shown."""

import re
from urllib.parse import urlsplit


def is_http_url(text: str) -> bool:
    """Return whether this is the URL of a host that speaks HTTP."""
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # a bracket without its pair, a port beyond 65535
        return False


def has_credentials(text: str) -> bool:
    """Return whether a URL, well formed or not, seems to hold a user or a password."""
    return "@" in re.split("[/?#]", text.partition("://")[2] or text, maxsplit=1)[0]


def without_secrets(text: str) -> str:
    """Return scheme, host and port: a webhook's user, path and query may hold what nobody else should know."""
    url = urlsplit(text)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
