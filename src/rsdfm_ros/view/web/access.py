"""Who may see the page: addresses to listen on, the token, and checks of a request's headers."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from rsdfm_ros.errors import RsdfmError

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8420
"""Where the page is unless --web says otherwise; the next free port if it is taken."""
TOKEN_VARIABLE = "RSDFM_WEB_TOKEN"
"""Environment variable with the token: unlike parameters, other users cannot read it."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
TRIED_PORTS = 20
MIN_TOKEN = 16


class WebError(RsdfmError):
    """The page cannot be served."""


@dataclass(frozen=True)
class Address:
    """Where the page is: host and port to listen on; token: what every request must carry, "" on loopback."""

    host: str
    port: int
    token: str = ""

    @property
    def url(self) -> str:
        """The address for a person on this machine or, beyond loopback, on another; with the token."""
        return self.place + (f"?token={quote(self.token)}" if self.token else "")

    @property
    def place(self) -> str:
        """The same without the token."""
        wild = self.host in ("0.0.0.0", "::")
        shown = socket.gethostname() if wild else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}/"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choose_address(text: str = "", option: str = "--web ", without: str = "--no-web") -> Address:
    """The address for `PORT`, `HOST:PORT` or "" (DEFAULT_PORT or the next free one, on loopback).

    option, without: how it is given, and how no page is asked for.

    Raises: WebError for a text that is none of these, a host that is not of this machine, or a port that is taken.
    """
    if text:
        host, port = _parsed(text, option)
        if (why := _is_free(host, port)) is not None:
            raise WebError(f"{option}{text}: cannot listen there ({why}): give another port, or {without}")
        return Address(host, port, token_for(host))
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + TRIED_PORTS):
        if _is_free(LOOPBACK, candidate) is None:
            return Address(LOOPBACK, candidate)
    raise WebError(
        f"ports {DEFAULT_PORT} to {DEFAULT_PORT + TRIED_PORTS - 1} are taken: give another with {option}PORT, "
        f"or {without}"
    )


def token_for(host: str) -> str:
    """What every request to this host must carry: "" on loopback, elsewhere the token of TOKEN_VARIABLE, or a new one.

    Raises: WebError for one that is too short.
    """
    if is_loopback(host):
        return ""
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    if len(token) < MIN_TOKEN:
        raise WebError(f"{TOKEN_VARIABLE} has {len(token)} characters: expected at least {MIN_TOKEN}")
    return token


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises: OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    return listener


def refusal(address: Address, target: str, headers: Sequence[tuple[str, str]]) -> str:
    """Why a request may not be answered, "" if it may. target: path and query · headers: name and value.

    On loopback the Host must be a name of this machine, so that no page of another site can reach the server through
    a name that resolves to it. Everywhere an Origin must be the server itself.
    """
    hosts = [v for n, v in headers if n.lower() == "host"]
    if len(hosts) != 1:
        return "expected one Host header"
    if not address.token and hosts[0].lower() not in {f"{name}:{address.port}" for name in LOCAL_NAMES}:
        return "this page is for this machine only: open it as localhost"
    origins = [v for n, v in headers if n.lower() == "origin"]
    if origins and origins != [f"http://{hosts[0]}"]:
        return "requests of other sites are refused"
    if address.token and not hmac.compare_digest(_token_in(target).encode(), address.token.encode()):
        return "the address needs the token that was said where the page was started"
    return ""


def _token_in(target: str) -> str:
    try:
        return parse_qs(urlsplit(target).query, max_num_fields=8).get("token", [""])[0]
    except ValueError:  # too many fields, or no address at all
        return ""


def _parsed(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or LOOPBACK
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise WebError(f"{option}{text}: expected PORT or HOST:PORT with a port of 1 to 65535, such as 8420")
    return host, int(port)


def _is_free(host: str, port: int) -> str | None:
    """None if a server may listen there, otherwise the reason."""
    try:
        listening(host, port).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
