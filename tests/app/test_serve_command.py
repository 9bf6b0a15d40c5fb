"""`prunevis serve`: what it takes, from options or the environment, and hands on."""

import pytest

from prunevis.app import cli
from prunevis.app.limits import Limits


@pytest.fixture
def served(monkeypatch):
    """Take the place of the server; return the settings that it was called with."""
    calls = []

    def serve(settings, announce):
        calls.append(settings)
        announce("http://127.0.0.1:8866/")

    monkeypatch.setattr("prunevis.hosting.running.serve", serve)
    monkeypatch.setattr("prunevis.app.commands.options.free", lambda host, port: True)
    return calls


def test_defaults(served, capsys):
    assert cli.main(["serve"]) == 0
    (found,) = served
    # nobody else reaches it unless told otherwise
    assert (found.host, found.port, found.base_url) == ("127.0.0.1", 8866, "/")
    assert (found.warm, found.visitors, found.cull, found.idle) == (2, 20, 120, 1800)
    assert found.strict_port
    assert found.access_log
    assert (found.embed, found.origins) == ((), ())
    assert found.kernels["OMP_NUM_THREADS"] == "1"
    limits = Limits.from_environment(found.kernels)
    assert None not in (limits.images, limits.epochs, limits.minutes, limits.memory_mb)
    assert "Serving http://127.0.0.1:8866/" in capsys.readouterr().out


def test_every_option(served):
    line = (
        "serve --host 0.0.0.0 --port 9000 --base-url prune --warm 3 --visitors 7 --cull 60 "
        "--idle 0 --images 500 --epochs 2 --minutes 3 --memory 0 "
        "--embed https://a.org https://b.org --origin http://c.org:81"
    )
    assert cli.main(line.split()) == 0
    (found,) = served
    assert (found.host, found.port, found.base_url) == ("0.0.0.0", 9000, "/prune/")
    assert (found.warm, found.visitors, found.cull, found.idle) == (3, 7, 60, 0)
    assert Limits.from_environment(found.kernels) == Limits(500, 2, 3, None)
    assert found.embed == ("https://a.org", "https://b.org")
    assert found.origins == ("http://c.org:81",)


def test_every_option_from_the_environment_and_a_flag_wins(served, monkeypatch):
    wanted = {
        "HOST": "0.0.0.0",
        "PORT": "9000",
        "BASE_URL": "/prune/",
        "WARM": "3",
        "VISITORS": "7",
        "CULL": "60",
        "IDLE": "5",
        "IMAGES": "500",
        "EPOCHS": "2",
        "MINUTES": "3",
        "MEMORY": "900",
        "EMBED": "https://a.org https://b.org",
        "ORIGIN": "http://c.org",
    }
    for name, value in wanted.items():
        monkeypatch.setenv(f"PRUNEVIS_{name}", value)
    assert cli.main(["serve", "--visitors", "9", "--embed", "https://d.org"]) == 0
    (found,) = served
    assert (found.host, found.port, found.base_url) == ("0.0.0.0", 9000, "/prune/")
    assert (found.warm, found.visitors, found.cull, found.idle) == (3, 9, 60, 300)
    assert Limits.from_environment(found.kernels) == Limits(500, 2, 3, 900)
    assert found.embed == ("https://d.org",)
    assert found.origins == ("http://c.org",)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--port 0", "a port is a number from 1 to 65535"),
        ("--visitors many", "argument --visitors: a number from 0"),
        ("--memory -5", "--memory"),
    ],
)
def test_wrong_arguments(served, capsys, arguments, text):
    with pytest.raises(SystemExit) as end:
        cli.main(["serve", *arguments.split()])
    assert end.value.code == 2
    assert text in capsys.readouterr().err
    assert served == []


def test_a_wrong_variable_is_named_by_its_option(served, capsys, monkeypatch):
    monkeypatch.setenv("PRUNEVIS_WARM", "some")
    with pytest.raises(SystemExit):
        cli.main(["serve"])
    assert "argument --warm" in capsys.readouterr().err


def test_what_only_the_settings_refuse(served, capsys):
    assert cli.main(["serve", "--embed", "everybody"]) == 2
    assert "This is not an origin: 'everybody'." in capsys.readouterr().err
    assert served == []


def test_a_port_that_is_taken(served, capsys, monkeypatch):
    monkeypatch.setattr("prunevis.app.commands.options.free", lambda host, port: False)
    assert cli.main(["serve", "--port", "9000"]) == 1
    assert "Port 9000 of 127.0.0.1 cannot be listened on" in capsys.readouterr().err
    assert served == []
