// Light or dark: JupyterLab's own word if it is there, otherwise the system's. And canvases that
// follow their box, the screen's pixel density and the colours.

function watchTheme(bus) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let current = null;
  const decide = () => {
    const lab = document.body.dataset.jpThemeLight;
    const name = lab === undefined ? (system.matches ? "dark" : "light") : lab === "false" ? "dark" : "light";
    if (name === current) return;
    current = name;
    bus.root.dataset.pvTheme = name;
    bus.colors = null;
    bus.send("theme", { name });
    bus.redraw();
  };
  decide();
  system.addEventListener("change", decide);
  const observer = new MutationObserver(decide);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  bus.cleanup(() => {
    system.removeEventListener("change", decide);
    observer.disconnect();
  });
}

/** The tokens as colours for a canvas, read once a theme. */
function colorsOf(bus) {
  if (!bus.colors) {
    const style = getComputedStyle(bus.root);
    const read = (name) => style.getPropertyValue(`--pv-${name}`).trim();
    bus.colors = {
      ink: read("ink"), quiet: read("quiet"), line: read("line"), card: read("card"),
      kept: read("kept"), pruned: read("pruned"), prunedSoft: read("pruned-soft"),
      prunedText: read("pruned-text"), font: style.fontFamily,
    };
  }
  return bus.colors;
}

/** Keep `node`'s width known without asking for layout in a frame; `changed(width, height)`. */
function watchSize(bus, node, changed) {
  let last = "";
  const observer = new ResizeObserver((entries) => {
    const box = entries[entries.length - 1].contentRect;
    const key = `${Math.round(box.width)}x${Math.round(box.height)}`;
    if (key === last || box.width < 1) return;
    last = key;
    changed(box.width, box.height);
  });
  observer.observe(node);
  bus.cleanup(() => observer.disconnect());
}

/** A canvas that is sharp on every screen. `draw(context, width, height)` paints it whole. */
function surface(bus, props, draw) {
  const canvas = h("canvas", props);
  const box = h("div", { class: "pv-surface" }, canvas);
  const context = canvas.getContext("2d");
  let width = 0;
  let height = 0;
  const api = {
    root: box,
    canvas,
    get width() { return width; },
    get height() { return height; },
    draw() {
      if (!width || !height) return;
      const density = window.devicePixelRatio || 1;
      const w = Math.round(width * density);
      const t = Math.round(height * density);
      if (canvas.width !== w || canvas.height !== t) {
        canvas.width = w;
        canvas.height = t;
      }
      context.setTransform(density, 0, 0, density, 0, 0);
      context.clearRect(0, 0, width, height);
      draw(context, width, height, colorsOf(bus));
    },
  };
  watchSize(bus, box, (w, t) => {
    width = w;
    height = t;
    api.draw();
  });
  return api;
}
