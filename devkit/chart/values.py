"""Merges values like Helm: the chart's defaults and files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = Path(__file__).parent / "small"
FILES = ROOT / "helm-values"

# Mappings whose keys are the administrator's.
OPEN = {
    *(
        f"hub.{key}"
        for key in (
            "config",
            "services",
            "loadRoles",
            "extraConfig",
            "extraFiles",
            "extraEnv",
            "templateVars",
        )
    ),
    *(
        f"singleuser.{key}"
        for key in ("extraLabels", "extraAnnotations", "nodeSelector", "lifecycleHooks", "extraEnv")
    ),
    *(f"singleuser.{key}" for key in ("extraPodConfig", "extraResource.limits", "extraResource.guarantees")),
    *(f"singleuser.storage.{key}" for key in ("extraLabels", "extraVolumes", "extraVolumeMounts")),
    "singleuser.networkTools.resources",
    "global",
}

TYPES: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": ["integer", "null"]},
    str: {"type": ["string", "null"]},
    list: {"type": "array"},
}


def schema() -> dict[str, Any]:
    """Return a JSON Schema of all values: only the keys of the defaults, with the same types or null."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **_schema_of({**load(CHART / "values.yaml"), "global": {}}, ""),
    }


def _schema_of(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return TYPES.get(type(value), {})
    if place in OPEN:
        return {"type": "object"}
    inner = {key: _schema_of(one, f"{place}.{key}".lstrip(".")) for key, one in value.items()}
    return {"type": "object", "additionalProperties": False, "properties": inner}


def values_with(*layers: Path | Mapping[str, Any]) -> dict[str, Any]:
    """Return the chart's values with files, or their parsed content, on top: the last one wins."""
    given: dict[str, Any] = {}
    for layer in layers:
        given = merged(given, load(layer) if isinstance(layer, Path) else layer)
    return on_top_of(load(CHART / "values.yaml"), given)


def extra_files(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of `hub.extraFiles` by their paths in the hub's pod; data becomes what the name's end says."""
    files = {}
    for file in values["hub"]["extraFiles"].values():
        path = file["mountPath"]
        if "stringData" in file:
            files[path] = file["stringData"]
            continue
        write = {".json": json.dumps, ".yaml": yaml.safe_dump}[Path(path).suffix]
        files[path] = write(file["data"])
    return files


def load(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict), f"{path} is no mapping"
    return content


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge one file's values over another's, like Helm: merge mappings, replace everything else."""
    result = dict(below)
    for key, value in above.items():
        is_mapping = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if is_mapping else value
    return result


def on_top_of(chart: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chart's values with those of all files; null removes a key of the chart.

    A null in the chart's own values stays: only Helm 4.2 and later drops it.
    """
    result = dict(chart)
    for key, value in given.items():
        if value is None and key in chart:
            del result[key]
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = on_top_of(result[key], value)
        else:
            result[key] = value
    return result
