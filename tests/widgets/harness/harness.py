"""The page without Python behind it: one HTML file with the scripts, a scene and a fake model.

``python harness.py OUT.html [SCENE]`` writes one to look at in a browser.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STATIC = HERE.parents[2] / "prunevis" / "widgets" / "static"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>harness</title>
<style>body {{ margin: 0; }}
{css}
</style></head>
<body><main id="here"></main>
<script>
{fake}
const slices = {slices};
const source = {source};
const address = URL.createObjectURL(new Blob([source], {{ type: "text/javascript" }}));
window.ready = import(address).then((page) => {{
  window.model = fakeModel(slices);
  window.page = page.default;
  window.untranslated = page.untranslated;
  const el = document.getElementById("here");
  window.show = () => page.default.render({{ model: window.model, el }});
  window.close_page = window.show();
}});
</script></body></html>
"""


def joined(suffix: str) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(STATIC.glob(f"*.{suffix}")))


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value).replace("<", "\\u003c")


def build(slices: dict[str, Any]) -> str:
    fake = (HERE / "fake_model.js").read_text("utf-8")
    return PAGE.format(
        css=joined("css"), fake=fake, slices=script_json(slices), source=script_json(joined("js"))
    )


if __name__ == "__main__":
    from fixtures import scene

    name = sys.argv[2] if len(sys.argv) > 2 else "usual"
    Path(sys.argv[1]).write_text(build(scene(name)), "utf-8")
