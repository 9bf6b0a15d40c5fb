"""What whoever serves the page can choose, and what is refused."""

import pytest

from prunevis.errors import SpecError
from prunevis.hosting.settings import Settings


@pytest.mark.parametrize(
    ("given", "base"),
    [("/", "/"), ("", "/"), ("prunevis", "/prunevis/"), ("/a/b-c/", "/a/b-c/"), ("a/b", "/a/b/")],
)
def test_base_url_has_slashes_at_both_ends(given, base):
    assert Settings(base_url=given).base_url == base


@pytest.mark.parametrize("given", ["/a b/", "/a//b/", "/a?b/", "/../%2e/", "https://x.org/"])
def test_base_url_that_is_no_path(given):
    with pytest.raises(SpecError, match="base URL is not a path"):
        Settings(base_url=given)


@pytest.mark.parametrize(
    ("name", "value"), [("warm", -1), ("visitors", -1), ("idle", -1), ("cull", 1), ("port", 0)]
)
def test_numbers_that_cannot_be(name, value):
    with pytest.raises(SpecError, match=f"`{name}` = {value}"):
        Settings(**{name: value})


@pytest.mark.parametrize("name", ["embed", "origins"])
@pytest.mark.parametrize(
    "value", ["example.org", "https://a.org/path", "https://a.org; script-src *", "'none'", ""]
)
def test_what_is_no_origin(name, value):
    with pytest.raises(SpecError, match="not an origin"):
        Settings(**{name: (value,)})


def test_origins():
    found = Settings(embed=("https://A.org/", "*"), origins=("http://[::1]:8866",))
    assert found.embed == ("https://a.org", "*")
    assert found.origins == ("http://[::1]:8866",)
    with pytest.raises(SpecError, match="not an origin"):
        Settings(origins=("*",))  # anybody's page could then move a visitor's slider
