"""The command line: what it takes, what it says, what it hands on."""

import subprocess
import sys
import threading

import pytest

import prunevis
from prunevis.app import cli
from prunevis.hosting.settings import Settings

#: What the demo tells its kernels.
ENGLISH = {"PRUNEVIS_LANGUAGE": "en"}


@pytest.fixture
def served(monkeypatch):
    """Take the place of the server; return what it was called with."""
    calls = []

    def serve(settings, announce):
        calls.append(settings)
        announce("http://127.0.0.1:8866/")

    monkeypatch.setattr("prunevis.hosting.running.serve", serve)
    return calls


@pytest.fixture
def opened(monkeypatch):
    """Take the place of the browser; return the addresses, and an event that is set on opening."""
    addresses, event = [], threading.Event()

    def open_address(address):
        addresses.append(address)
        event.set()

    monkeypatch.setattr("webbrowser.open", open_address)
    return addresses, event


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"prunevis {prunevis.__version__}\n"


def test_no_command_says_what_there_is(capsys):
    assert cli.main([]) == 2
    out = capsys.readouterr().out
    assert "usage: prunevis" in out
    assert "demo" in out


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"]])
def test_help(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "Ctrl-C" in out or "demo" in out
    if "demo" in arguments:
        for option in ("--host", "--port", "--no-browser", "--warm", "--cull"):
            assert option in out


def test_demo_with_defaults(served, opened, capsys):
    addresses, event = opened
    assert cli.main(["demo"]) == 0
    assert served == [
        Settings(host="127.0.0.1", port=8866, warm=1, cull=120, strict_port=False, kernels=ENGLISH)
    ]
    assert event.wait(20)
    assert addresses == ["http://127.0.0.1:8866/"]
    out = capsys.readouterr().out
    assert "Open http://127.0.0.1:8866/" in out
    assert "Ctrl-C ends it." in out
    assert out.endswith("Ended.\n")


def test_demo_with_everything(served, opened, capsys):
    assert (
        cli.main(
            [
                "demo",
                "--host",
                "0.0.0.0",
                "--port",
                "9000",
                "--no-browser",
                "--warm",
                "3",
                "--cull",
                "60",
            ]
        )
        == 0
    )
    assert served == [
        Settings(host="0.0.0.0", port=9000, warm=3, cull=60, strict_port=True, kernels=ENGLISH)
    ]
    assert opened[0] == []
    assert "Open http://127.0.0.1:8866/" in capsys.readouterr().out


def test_kernels_are_not_ended_before_their_page_can_connect(served, opened):
    cli.main(["demo", "--no-browser", "--cull", "0"])
    assert served[0].cull >= 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("demo --port 0", "argument --port"),
        ("demo --port 65536", "a port is a number from 1 to 65535"),
        ("demo --port -1", "--port"),
        ("demo --port http", "argument --port"),
        ("demo --port 8.5", "argument --port"),
        ("demo --warm -1", "--warm"),
        ("demo --warm many", "argument --warm"),
        ("demo --cull soon", "argument --cull"),
        ("demo --nothing", "unrecognized arguments: --nothing"),
        ("publish", "invalid choice: 'publish'"),
    ],
)
def test_wrong_arguments(served, capsys, arguments, text):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments.split())
    assert end.value.code == 2
    assert text in capsys.readouterr().err
    assert served == []


def test_the_command_is_installed_under_its_name():
    from importlib.metadata import entry_points

    found = entry_points(group="console_scripts", name="prunevis")
    if not found:
        pytest.skip("prunevis is not installed here, only on the path")
    assert next(iter(found)).load() is cli.main


def test_as_a_module():
    run = subprocess.run(
        [sys.executable, "-m", "prunevis.app", "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout == f"prunevis {prunevis.__version__}\n"


def test_the_process_that_serves_needs_no_torch():
    code = (
        "import sys, prunevis.app.cli, prunevis.hosting.running; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'matplotlib', 'ipywidgets')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
