"""Parameters of the Open Inference Protocol: the fields of our RecognizeOptions by their names, and a timeout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce

from glyphwire.v1 import ocr_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from ocr_core.errors import OptionInvalid
from server.stubs.open_inference_pb2 import InferParameter, ModelInferRequest

_Value = str | int | float

_TIMEOUT = "timeout"
_FLOATS = (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)
"""Types for which protobuf takes True as 1, which it does for no other."""

_MAX_TEXT = 2**20
"""Lists are taken apart in the event loop; the longest that the pipeline accepts fits."""


def options(request: ModelInferRequest) -> ocr_pb2.RecognizeOptions:
    """The parameters in the form of our own contract. Raises OptionInvalid."""
    message = ocr_pb2.RecognizeOptions(model=model(request.model_name, request.model_version))
    for name, parameter in request.parameters.items():
        if name != _TIMEOUT:
            _set(message, name, _value(name, parameter))
    return message


def timeout_s(request: ModelInferRequest) -> float:
    """The parameter timeout, which is in microseconds; without it, or when it is 0, infinity. Raises OptionInvalid."""
    if _TIMEOUT not in request.parameters:
        return math.inf
    value = _value(_TIMEOUT, request.parameters[_TIMEOUT])
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _invalid(_TIMEOUT, f"{value!r} is no number of microseconds")
    return value / 1e6 or math.inf


def model(name: str, version: str) -> str:
    """A model as RecognizeOptions.model names it."""
    return f"{name}/{version}" if version else name


def _fields(descriptor: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldDescriptor]]:
    """Fields that hold a value, and the names that lead to their message. No two of them have one name."""
    for field in descriptor.fields:
        if field.message_type and not field.is_repeated:
            yield from _fields(field.message_type, (*path, field.name))
        else:
            yield path, field


_FIELDS = {field.name: (path, field) for path, field in _fields(ocr_pb2.RecognizeOptions.DESCRIPTOR)}
del _FIELDS["model"]  # has fields of its own in the request


def _set(options: ocr_pb2.RecognizeOptions, name: str, value: _Value) -> None:
    if name not in _FIELDS:
        raise _invalid(name, "there is no such option")
    path, field = _FIELDS[name]
    message: Message = reduce(getattr, path, options)
    try:
        if field.is_repeated:
            _extend(message, field, value)
        else:
            if isinstance(value, bool) and field.type in _FLOATS:
                raise ValueError(f"{value!r} is not a number")
            given = _number(field.enum_type, value) if field.enum_type else value
            json_format.ParseDict({name: given}, message)
    except (json_format.ParseError, ValueError) as error:
        raise _invalid(name, str(error)) from None


def _value(name: str, parameter: InferParameter) -> _Value:
    kind = parameter.WhichOneof("parameter_choice")
    if kind is None:
        raise _invalid(name, "it has no value")
    value: _Value = getattr(parameter, kind)
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        raise _invalid(name, f"it has {len(value)} characters, at most {_MAX_TEXT} are accepted")
    return value


def _extend(message: Message, field: FieldDescriptor, text: _Value) -> None:
    """One entry per row, as in the files of the server.

    A hot word has its weight after a tab, and before one an extractor its name.
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a text of one entry per row")
    entries = getattr(message, field.name)
    for row in filter(None, text.splitlines()):
        if field.name == "hot_words":
            word, _, weight = row.rpartition("\t")
            entries.add(text=word, weight=float(weight))
        elif field.name == "extractors":
            name, _, pattern = row.partition("\t")
            entries.add(name=name, pattern=pattern)
        else:
            entries.append(_number(field.enum_type, row) if field.enum_type else row)


def _number(enum: EnumDescriptor, value: _Value) -> int:
    """A named value in lower case without its prefix, "prefix_beam", or its number."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    numbers: dict[str, int] = {
        known.name.removeprefix(prefix).lower(): known.number for known in enum.values if known.number
    }
    if isinstance(value, str) and value in numbers:
        return numbers[value]
    if value in numbers.values() and not isinstance(value, bool):
        return int(value)
    raise ValueError(f"{value!r} is none of {', '.join(numbers)}")


def _invalid(name: str, message: str) -> OptionInvalid:
    return OptionInvalid(f"parameter {name}: {message}", f"parameters.{name}")
