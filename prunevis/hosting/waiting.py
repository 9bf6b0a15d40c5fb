"""Where those wait for whom there is no room: a page that looks like the page, and tries again."""

from __future__ import annotations

import json
from string import Template

#: Seconds after which who waits may ask again.
RETRY_AFTER = 10

_PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>prunevis: all places are taken</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<noscript><meta http-equiv="refresh" content="$seconds"></noscript>
<link rel="icon" href="data:;base64,=">
<style>
  body { margin: 0; background: #fbfaf7; color: #1d232b;
    font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
  main { min-height: 100vh; box-sizing: border-box; padding: 24px; max-width: 30em; margin: 0 auto;
    display: flex; flex-direction: column; gap: 12px; justify-content: center; }
  h1 { font-size: 20px; letter-spacing: -0.01em; margin: 0; }
  p { margin: 0; color: #5b6570; }
  p.here { color: #1d232b; font-variant-numeric: tabular-nums; }
  button { align-self: flex-start; font: inherit; padding: 9px 18px; border-radius: 8px;
    border: 1px solid #c9c5bb; background: #fff; color: inherit; cursor: pointer;
    min-height: 44px; }
  button:focus-visible { outline: 3px solid #2b6cb0; outline-offset: 2px; }
  @media (prefers-color-scheme: dark) {
    body { background: #14171b; color: #e8eaed; }
    p { color: #a3adb8; } p.here { color: #e8eaed; }
    button { background: #20252b; border-color: #434b55; }
    button:focus-visible { outline-color: #6ea8e0; }
  }
</style>
</head>
<body>
<main>
  <h1>All places are taken</h1>
  <p>Each visitor of prunevis gets a Python of their own, and this machine has room for so many.</p>
  <p class="here" role="status" id="here">$here</p>
  <p id="next">This page opens by itself as soon as somebody leaves.</p>
  <button type="button" id="again">Try now</button>
</main>
<script>
  const health = $health;
  const here = document.getElementById("here");
  const next = document.getElementById("next");
  let wait = 5;
  const open = () => window.location.reload();
  document.getElementById("again").addEventListener("click", open);
  async function ask() {
    let found = null;
    try {
      const answer = await fetch(health, { cache: "no-store" });
      found = answer.ok ? await answer.json() : null;
    } catch {
      // the server is away for a moment
    }
    if (found && found.room) return open();
    const text = found ? (found.visitors === 1 ? "1 visitor is here now."
      : found.visitors + " visitors are here now.") : "The server does not answer at the moment.";
    if (here.textContent !== text) here.textContent = text;
    // not everybody at once, and less and less often
    wait = Math.min(wait * 1.4, 45);
    again();
  }
  function again() {
    const seconds = Math.round(wait * (0.8 + 0.4 * Math.random()));
    next.textContent = "This page opens by itself as soon as somebody leaves; it looks again in "
      + seconds + " seconds.";
    setTimeout(ask, seconds * 1000);
  }
  again();
</script>
</body>
</html>
"""
)


def waiting_page(visitors: int, health: str) -> str:
    """Return the page for whoever came when `visitors` were there.

    Parameters
    ----------
    visitors
        How many have a place.
    health
        The address that says whether there is room.
    """
    here = "1 visitor is here now." if visitors == 1 else f"{visitors} visitors are here now."
    # "<" cannot end the script: a base URL holds none, and JSON is told so
    address = json.dumps(health).replace("<", "\\u003c")
    return _PAGE.substitute(seconds=RETRY_AFTER, here=here, health=address)
