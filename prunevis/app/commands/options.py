"""Kinds of options that several subcommands take, and what they say when they are wrong."""

from __future__ import annotations

import argparse
import socket


def port(text: str) -> int:
    """Read a port."""
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return number


def count(text: str) -> int:
    """Read a number from 0."""
    number = int(text) if text.isdecimal() else -1
    if number < 0:
        raise argparse.ArgumentTypeError("a number from 0")
    return number


def language(text: str) -> str:
    """Read a language that the page speaks."""
    from prunevis.texts import LANGUAGES

    if text not in LANGUAGES:
        raise argparse.ArgumentTypeError(f"a language is one of {', '.join(LANGUAGES)}")
    return text


def free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    try:
        with socket.create_server((host, port)):
            return True
    except OSError:
        return False


def taken(host: str, port: int) -> str:
    """Return what to say where it could not."""
    return (
        f"Port {port} of {host} cannot be listened on: it is in use, or not ours to use. Choose "
        "another with --port"
    )
