"""The type of decoded Kubernetes JSON: read-only and not validated."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Raw: TypeAlias = Mapping[str, Any]
"""An object or a part of one, as the API server sent it. Functions that build objects return ``dict[str, Any]``."""
