"""YAML within limits: at each of them, one beyond, and for any bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.yaml_file import LIMITS, YamlError, YamlLimits, parse_yaml, read_yaml

SMALL = YamlLimits(max_bytes=1000, max_depth=4, max_values=20)


def refusal(text: str, limits: YamlLimits = LIMITS) -> str:
    with pytest.raises(YamlError) as refused:
        parse_yaml(text, limits)
    sentence = str(refused.value)
    assert len(sentence.splitlines()) == 1 and sentence
    return sentence


def test_every_file_of_the_package_is_read_as_pyyaml_reads_it(root: Path) -> None:
    files = [*root.glob("config/**/*.yaml"), *root.glob("models/*/*.yaml"), *root.glob("test/support/*.yaml")]
    assert len(files) > 10
    for file in files:
        assert read_yaml(file) == yaml.safe_load(file.read_text())


@pytest.mark.parametrize(
    "text", ["", "# a comment\n", "---\n", "a: [1, 0x1f, 1e-3, 1.5, 1:30, yes, ~, 2020-01-02]"]
)
def test_what_is_allowed_is_read_as_pyyaml_reads_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml") == parse_yaml(text) == yaml.safe_load(text)


def test_aliases_and_merged_mappings_are_read() -> None:
    text = "base: &b {x: 1, y: [1, 2]}\nmore: {<<: *b, z: 3}\nsame: *b"
    assert parse_yaml(text) == yaml.safe_load(text)


def test_size_is_limited_in_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("# " + "é" * 499)
    assert read_yaml(file, SMALL) is None
    file.write_text("# " + "é" * 499 + "x")
    with pytest.raises(YamlError, match="expected at most 1000 bytes of YAML, got more"):
        read_yaml(file, SMALL)
    with Path("/dev/zero").open("rb"), pytest.raises(YamlError, match="expected at most 1000 bytes"):
        read_yaml("/dev/zero", SMALL)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}"), ("- ", "")])
def test_depth_is_limited(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return opening * levels + "1" + closing * levels

    parse_yaml(nested(SMALL.max_depth - 2), SMALL)
    assert "expected at most 4 levels of nesting" in refusal(nested(SMALL.max_depth), SMALL)
    assert "expected at most 64 levels of nesting" in refusal(nested(3000))


def test_aliases_do_not_hide_depth() -> None:
    assert parse_yaml("a: &a [1]\nb: [*a]", SMALL) == {"a": [1], "b": [[1]]}
    assert "line 2: expected at most 4 levels" in refusal("a: &a [[1]]\nb: [*a]", SMALL)


def test_values_are_limited_with_aliases_written_out() -> None:
    assert len(parse_yaml("[" + "1, " * 18 + "1]", SMALL)) == 19
    assert "expected at most 20 values" in refusal("[" + "1, " * 19 + "1]", SMALL)
    # 1 mapping, 3 keys, a list of 4, and 5 for each alias
    assert parse_yaml("{a: &a [1, 2, 3, 4], b: *a, c: *a}", SMALL)["c"] == [1, 2, 3, 4]
    assert "line 1: expected at most 20 values, aliases written out" in refusal(
        "{a: &a [1, 2, 3, 4], b: *a, c: *a, d: 1}", SMALL
    )


def test_a_value_inside_of_itself_is_refused() -> None:
    assert "got *a inside of itself" in refusal("a: &a [*a]")
    assert "got *a inside of itself" in refusal("&a {b: {c: *a}}")


@pytest.mark.parametrize("number", ["9", "0x1", "-1", "1.", "0b1"])
def test_numbers_are_limited_in_characters(number: str) -> None:
    filled = number + "1" * (100 - len(number))
    assert parse_yaml(f"a: {filled}") == yaml.safe_load(f"a: {filled}")
    assert "line 1: expected a number of at most 100 characters, got 101" in refusal(f"a: {filled}1")
    assert parse_yaml(f"a: '{filled}1'") == {"a": f"{filled}1"}


def test_text_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes("\ufeffa: é".encode())
    assert read_yaml(file) == {"a": "é"}
    file.write_bytes(b"a: \xe9")
    with pytest.raises(YamlError, match="expected text in UTF-8, got 0xe9 as byte 4: save it as UTF-8"):
        read_yaml(file)


def test_syntax_errors_name_line_and_column() -> None:
    assert refusal("a: 1\nb: [1, 2\nc: 3").startswith("line 3, column 2: ")


def test_files_that_cannot_be_read_are_errors_of_the_system(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(OSError, match=r"directory|No such"):
            read_yaml(path)


_SPECIAL = st.sampled_from(
    [*"[]{}:,-?!&*#|>%@`'\"\n ~", "&a ", "*a", "<<: ", "!!int ", "!!timestamp ", "---\n", "0x", "1:"]
)
_YAML_LIKE = st.lists(_SPECIAL | st.text(max_size=4), max_size=40).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200) | _YAML_LIKE.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_what_pyyaml_reads_or_the_typed_error(tmp_path_factory: Any, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(data)
    try:
        read = read_yaml(file)
    except YamlError as error:
        sentence = str(error)
    else:
        sentence = ""
        assert repr(read) == repr(yaml.load(data.decode(), Loader=yaml.CSafeLoader))
    assert len(sentence.splitlines()) <= 1
