"""What the page promises about speed, measured.

`python -m benchmarks` runs all, `python -m benchmarks NAME` one; `README.md` says what each
measures and holds the figures. A benchmark is a module with ``TITLE`` and ``measure(quick) ->
Report``.
"""

NAMES = ("slider_move", "import_time", "page_ready", "key_to_paint", "first_estimate")

#: Those that need Chromium.
IN_BROWSER = frozenset({"page_ready", "key_to_paint", "first_estimate"})
