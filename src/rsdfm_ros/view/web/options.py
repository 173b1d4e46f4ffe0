"""Options of every command that serves the page, --web and --no-web, and of launch files: web and web_port."""

from __future__ import annotations

import argparse
from types import MappingProxyType

from rsdfm_ros.view.web.access import DEFAULT_PORT, Address, WebError, choose_address

LAUNCH_ARGUMENTS = MappingProxyType(
    {
        "web": ("true", "serve the page for browsers; its address is said on the screen"),
        "web_port": (
            "",
            f"where the page is served: PORT or HOST:PORT; empty: port {DEFAULT_PORT} of 127.0.0.1, or the next free "
            "one; with another host, such as 0.0.0.0, the address carries a token",
        ),
    }
)
"""Launch argument → default, sentence."""

SAYS = "look at it in a browser: {}"
"""What is said on the screen, with the address."""


def add_web_arguments(
    parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup,
    without: str = "serve no page",
    *,
    optional: bool = False,
) -> None:
    """Declare --web and --no-web; without: meaning of the latter · optional: --web may stand alone."""
    parser.add_argument(
        "--web",
        nargs="?" if optional else None,
        const="" if optional else None,
        metavar="[HOST:]PORT",
        help=f"where the page for browsers is served (default: port {DEFAULT_PORT} of 127.0.0.1, or the next free "
        "one); with another host, such as 0.0.0.0, the address carries a token",
    )
    parser.add_argument("--no-web", action="store_true", help=without)


def address_of(args: argparse.Namespace) -> Address | None:
    """Where the arguments want the page, None for nowhere. Raises: WebError."""
    if args.no_web and args.web:
        raise WebError("give --web or --no-web, not both")
    return None if args.no_web else choose_address(args.web or "")


def launched_address(web: str, web_port: str) -> Address | None:
    """Where the launch arguments want the page, None for nowhere. Raises: WebError."""
    if web.lower() not in ("true", "false"):
        raise WebError(f"web: expected true or false, got {web!r}; another port is given with web_port:=PORT")
    if web.lower() == "false" and web_port:
        raise WebError("web:=false and web_port contradict: leave one of them out")
    return choose_address(web_port, "web_port:=", "web:=false") if web.lower() == "true" else None
