"""The type of decoded Kubernetes JSON: read-only by promise, unvalidated by nature."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Raw: TypeAlias = Mapping[str, Any]
"""An object, or a part of one, as the API server sent it. Builders return ``dict[str, Any]`` instead."""
