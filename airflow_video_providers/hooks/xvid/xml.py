# SPDX-License-Identifier: Apache-2.0
"""Xvid's answers with ``format=xml``, read into the shape that they have as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WRAPPERS = ("response", "root")


def parse_xml(content: bytes) -> dict[str, Any]:
    """
    Read an XML answer into the shape of the JSON one; every value is a text, an empty element is None.

    The manual shows no XML answer, so the form is taken to be the usual one: an element a key, a list ``jobs`` of
    ``job`` elements, the root either the object's type name or a neutral wrapper.

    :raises ValueError: not XML, or XML with a document type or entities, which are never read.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException) as error:
        raise ValueError(f"not acceptable XML: {type(error).__name__}") from None
    value = _value(root)
    return value if root.tag in _WRAPPERS and isinstance(value, dict) else {root.tag: value}


def decode_error(content: bytes) -> Any:
    """
    Read an error answer, JSON or, where that was asked for, XML.

    :raises ValueError: it is neither; also a page, which may be XML, but holds no ``error``.
    """
    try:
        return json.loads(content)
    except ValueError:
        value = parse_xml(content)
    if "error" not in value:
        raise ValueError("XML, but no error of Xvid's")
    return value


def _value(element: Element) -> Any:
    children = list(element)
    if not children:
        text = (element.text or "").strip()
        return text or None
    if all(child.tag == element.tag[:-1] for child in children):
        return [_value(child) for child in children]
    grouped: dict[str, list[Any]] = {}
    for child in children:
        grouped.setdefault(child.tag, []).append(_value(child))
    return {tag: values[0] if len(values) == 1 else values for tag, values in grouped.items()}
