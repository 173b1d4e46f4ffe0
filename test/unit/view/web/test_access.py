"""Who may see the page: loopback, the token, names and origins."""

from __future__ import annotations

import socket

import pytest

from rsdfm_ros.view.web import access
from rsdfm_ros.view.web.access import Address, WebError, choose_address, is_loopback, refusal, token_for
from support.web_client import free_port

LOCAL, OPEN = Address("127.0.0.1", 8420), Address("0.0.0.0", 8420, "a-token-of-sixteen-or-more")


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(access.TOKEN_VARIABLE, raising=False)


def host(name: str = "127.0.0.1:8420", *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Host", name), *more]


@pytest.mark.parametrize("name", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_token(name: str) -> None:
    assert is_loopback(name) and token_for(name) == ""


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_everything_else_has_a_token_that_cannot_be_guessed(name: str) -> None:
    one, other = token_for(name), token_for(name)
    assert not is_loopback(name) and len(one) >= 32 and one != other


def test_the_token_of_the_environment_is_used_and_a_short_one_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(access.TOKEN_VARIABLE, "x" * 20)
    assert token_for("0.0.0.0") == "x" * 20 and token_for("127.0.0.1") == ""
    monkeypatch.setenv(access.TOKEN_VARIABLE, "short")
    with pytest.raises(WebError, match="at least 16"):
        token_for("0.0.0.0")


def test_the_next_port_is_taken_where_the_usual_one_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(access, "DEFAULT_PORT", port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        chosen = choose_address()
        assert chosen.host == "127.0.0.1" and chosen.port > port and chosen.token == ""
        with pytest.raises(WebError, match=r"cannot listen there .*another port"):
            choose_address(str(port))
        monkeypatch.setattr(access, "TRIED_PORTS", 1)
        with pytest.raises(WebError, match="--no-web"):
            choose_address()


@pytest.mark.parametrize("text", ["x", "0", "65536", "-1", "8420x", "localhost:", "²", "out/demo"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(WebError, match="expected PORT or HOST:PORT"):
        choose_address(text)


def test_a_host_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(WebError, match="cannot listen there"):
        choose_address(f"192.0.2.1:{free_port()}")


def test_the_address_carries_the_token_beyond_loopback() -> None:
    assert LOCAL.url == "http://127.0.0.1:8420/" and Address("::1", 1).url == "http://[::1]:1/"
    assert OPEN.url.endswith(":8420/?token=a-token-of-sixteen-or-more") and "0.0.0.0" not in OPEN.url
    assert "token" not in OPEN.place


def test_on_loopback_only_names_of_this_machine_are_answered() -> None:
    for name in ("127.0.0.1:8420", "localhost:8420", "LOCALHOST:8420"):
        assert refusal(LOCAL, "/", host(name)) == ""
    for name in ("evil.example:8420", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:8420"):
        assert "this machine" in refusal(LOCAL, "/", host(name))
    assert "one Host" in refusal(LOCAL, "/", []) and "one Host" in refusal(LOCAL, "/", host() + host())


def test_pages_of_other_sites_cannot_open_a_socket() -> None:
    assert refusal(LOCAL, "/ws", host("localhost:8420", ("Origin", "http://localhost:8420"))) == ""
    for origin in ("http://evil.example", "null", "https://localhost:8420", "http://127.0.0.1:8420"):
        assert "other sites" in refusal(LOCAL, "/ws", host("localhost:8420", ("Origin", origin)))


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/?token=",
        "/?token=wrong",
        "/?tokens=a-token-of-sixteen-or-more",
        "/?token=ä",
        "/ws?x=1&token=A-token",
    ],
)
def test_beyond_loopback_every_request_needs_the_token(target: str) -> None:
    assert "token" in refusal(OPEN, target, host("somewhere:8420"))


def test_with_the_token_any_name_of_the_machine_will_do() -> None:
    assert (
        refusal(OPEN, f"/ws?token={OPEN.token}", host("somewhere:8420", ("Origin", "http://somewhere:8420")))
        == ""
    )


def test_many_fields_in_an_address_are_refused_not_read() -> None:
    target = "/?" + "&".join(f"a{n}=1" for n in range(1000))
    assert "token" in refusal(OPEN, target, host("somewhere:8420"))
