"""Kinds of options that traitlets does not have."""

from contextlib import suppress
from typing import Any

from jupyterhub.traitlets import ByteSpecification
from traitlets import TraitError, Type, Union


class OneOf(Union):
    """Takes values of several kinds; its default, which the help shows, is that of the first kind.

    Each spawner gets its own default. A ``default_value`` would be one list for all users: code that appends to
    it for one user would change everybody's pod.
    """

    def __init__(self, kinds: list[Any], **metadata: Any) -> None:
        super().__init__(kinds, **metadata)

    def default_value_repr(self) -> str:
        """Return the default as Python, for the help and the generated configuration."""
        return repr(self.default())


class ClassOrNone(Type):  # type: ignore[type-arg]
    """Takes a class or its name, and is None by default; traitlets' `Type` cannot write help for that default."""

    def __init__(self, klass: type, **metadata: Any) -> None:
        super().__init__(None, klass=klass, allow_none=True, **metadata)

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the class; a name that cannot be imported is an error that names the option."""
        try:
            return super().validate(obj, value)
        except TraitError:
            raise
        except Exception as error:  # an empty name, or an exception in the module
            raise TraitError(
                f"{type(obj).__name__}.{self.name}: cannot import {value!r}: {type(error).__name__}: {error}"
            ) from error

    def default_value_repr(self) -> str:
        """Return the default as Python."""
        return repr(self.default_value)


class ByteSize(ByteSpecification):  # type: ignore[misc] # JupyterHub has no types
    """Takes what JupyterHub's `ByteSpecification` takes; its errors name the option."""

    info_text = 'a number of bytes, or text such as "2G" with the suffix K, M, G or T'

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the number of bytes."""
        with suppress(Exception):  # of many types: what float() and slicing raise
            return super().validate(obj, value)
        return self.error(obj, value)  # which raises
