"""Governance and permissions of DDS Security 1.1 as XML, to be signed by the permissions CA of a keystore.

The same rules give the same bytes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from rsdfm_ros.fleet.security.rules import Grant

SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
SPECIFICATION = "http://www.omg.org/spec/DDS-SECURITY/20170901"
FROM_ORIGIN = "ENCRYPT_WITH_ORIGIN_AUTHENTICATION"
"""With the plain kinds a receiver has the key of the sender and could write in its name."""


def governance(domain: int, features: Sequence[str]) -> str:
    """Rules of the whole domain: nobody without a certificate joins, and everything is encrypted.

    features: topics that several UAVs read; what they carry is also authenticated for every single receiver.
    """
    dds = _root("governance")
    rule = _sub(_sub(dds, "domain_access_rules"), "domain_rule")
    _sub(_sub(rule, "domains"), "id", str(domain))
    for name, value in (
        ("allow_unauthenticated_participants", "false"),
        ("enable_join_access_control", "true"),
        ("discovery_protection_kind", "ENCRYPT"),
        ("liveliness_protection_kind", FROM_ORIGIN),
        ("rtps_protection_kind", "SIGN"),
    ):
        _sub(rule, name, value)
    topics = _sub(rule, "topic_access_rules")
    for expression, metadata in (*((f, FROM_ORIGIN) for f in features), ("*", "ENCRYPT")):
        topic = _sub(topics, "topic_rule")
        for name, value in (
            ("topic_expression", expression),
            ("enable_discovery_protection", "true"),
            ("enable_liveliness_protection", "true"),
            ("enable_read_access_control", "true"),
            ("enable_write_access_control", "true"),
            ("metadata_protection_kind", metadata),
            ("data_protection_kind", "NONE"),  # the submessage that holds it is encrypted
        ):
            _sub(topic, name, value)
    return _text(dds)


def permissions(grant: Grant, domain: int, valid: tuple[str, str]) -> str:
    """The rights of one enclave. valid: first and last day, as 2026-01-31."""
    dds = _root("permissions")
    element = _sub(_sub(dds, "permissions"), "grant")
    element.set("name", grant.enclave)
    _sub(element, "subject_name", f"CN={grant.enclave}")
    validity = _sub(element, "validity")
    _sub(validity, "not_before", f"{valid[0]}T00:00:00")
    _sub(validity, "not_after", f"{valid[1]}T23:59:59")
    rule = _sub(element, "allow_rule")
    _sub(_sub(rule, "domains"), "id", str(domain))
    for name, expressions in (("publish", grant.publish), ("subscribe", grant.subscribe)):
        topics = _sub(_sub(rule, name), "topics")
        for expression in expressions:
            _sub(topics, "topic", expression)
    _sub(element, "default", "DENY")
    return _text(dds)


def _root(kind: str) -> ET.Element:
    ET.register_namespace("xsi", SCHEMA)
    location = f"{SPECIFICATION}/omg_shared_ca_{kind}.xsd"
    return ET.Element("dds", {f"{{{SCHEMA}}}noNamespaceSchemaLocation": location})


def _sub(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = text
    return element


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'
