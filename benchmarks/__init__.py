"""What the page promises about speed, measured.

`python -m benchmarks` runs all, `python -m benchmarks NAME` one; `README.md` says what each
measures and holds the figures. A benchmark is a module with ``TITLE`` and ``measure(quick) ->
Report``.

Pages of the documentation that hold what was measured, not how fast, are written by modules with
``TITLE`` and ``write(folder, quick) -> Path``: `python -m benchmarks agreement` writes
``docs/agreement.md``.
"""

NAMES = (
    "slider_move",
    "large_plan",
    "sweep",
    "coverage",
    "images_needed",
    "large_page",
    "import_time",
    "page_ready",
    "key_to_paint",
    "first_estimate",
    "network_delay",
    "cancel",
    "drag_soak",
    "networks",
    "sweep_workers",
    "training",
    "serving",
)

#: Those that need Chromium.
IN_BROWSER = frozenset(
    {"page_ready", "key_to_paint", "first_estimate", "network_delay", "cancel", "drag_soak"}
)

#: Those that write a page of the documentation; they run only by name.
PAGES = ("agreement", "race", "repair")
