// The trade-off curve above the slider. It shares the slider's axis: THUMB / 2 is left free on both
// sides, where the middle of the thumb comes to rest at 0 and at 100 %. A move only shifts the marker.

const THUMB = 28;
const CURVE_TOP = 20;

/** The lines of the curve: where neighbours are known, guessed, or not known at all. */
function curveShapes(at, x, y) {
  const exact = [];
  const guess = [];
  const gaps = [];
  const upper = [];
  const lower = [];
  const dots = { exact: "", estimate: "" };
  const sparsity = at.table.sparsity;
  const p = (v) => v.toFixed(1);
  let previous = null;
  let lastDot = -Infinity;
  for (let k = 0; k < at.size; k++) {
    const a = accuracyAt(at, k);
    if (a.state === "unknown") continue;
    const px = x(sparsity[k]);
    const py = y(a.value);
    if (previous) {
      const list = k - previous.k > 1 ? gaps : a.state === "exact" && previous.state === "exact" ? exact : guess;
      list.push(`M${p(previous.px)} ${p(previous.py)}L${p(px)} ${p(py)}`);
    }
    upper.push(`${p(px)} ${p(y(a.high))}`);
    lower.push(`${p(px)} ${p(y(a.low))}`);
    // Dots melt into the line once they stand close.
    const alone = !previous || k - previous.k > 1;
    const next = k + 1 < at.size ? accuracyAt(at, k + 1).state : "exact";
    if (alone || next === "unknown" || px - lastDot >= (a.state === "exact" ? 48 : 11)) {
      const r = a.state === "exact" ? 2.6 : 2.8;
      dots[a.state] += `M${p(px - r)} ${p(py)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
      lastDot = px;
    }
    previous = { k, px, py, state: a.state };
  }
  return {
    exact: exact.join(""), guess: guess.join(""), gaps: gaps.join(""), dots,
    band: upper.length > 1 ? `M${upper.join("L")}L${lower.reverse().join("L")}Z` : "",
    empty: previous === null,
  };
}

/** The line of deletion alone, where a repair is chosen: quiet, beneath the curve itself. */
function deletedShape(at, x, y) {
  const list = (at.curve && at.curve.deleted) || [];
  const points = [];
  list.forEach((value, k) => {
    if (known(value)) points.push(`${x(at.table.sparsity[k]).toFixed(1)} ${y(value).toFixed(1)}`);
  });
  return points.length > 1 ? `M${points.join("L")}` : "";
}

/** The largest position before which every known accuracy is within `points` of the start. */
function freeUntil(at, points = 0.01) {
  const base = at.base && at.base.accuracy;
  if (!at.curve || !known(base)) return null;
  let best = null;
  for (let k = 0; k < at.size; k++) {
    const a = accuracyAt(at, k);
    if (a.state === "unknown") continue;
    if (a.value < base - points) return best;
    best = k;
  }
  return best;
}

function curvePart(bus, grab) {
  const clip = freshId("clip");
  const clipRect = s("rect");
  const shade = s("rect", { class: "pv-curve-shade", y: 0 });
  const grid = s("g");
  const baseLine = s("line", { class: "pv-curve-base" });
  const baseText = s("text", { class: "pv-axis" });
  const path = (name) => s("path", { class: `pv-curve-${name}` });
  const deletedLine = path("deleted");
  const lines = { deleted: deletedLine, band: path("band"), gaps: path("gap"), guess: path("guess"), exact: path("exact"),
    guessDots: path("dot-estimate"), exactDots: path("dot-exact") };
  const markerLine = s("line", { class: "pv-curve-marker", y1: 0 });
  const markerDot = s("circle", { class: "pv-curve-point", r: 5.5 });
  const markerBar = s("line", { class: "pv-curve-error" });
  const marker = s("g", null, markerLine, markerBar, markerDot);
  const svg = s("svg", { class: "pv-curve", role: "img", "data-testid": "curve" },
    s("defs", null, s("clipPath", { id: clip }, clipRect)),
    shade, grid, baseLine, s("g", { "clip-path": `url(#${clip})` }, ...Object.values(lines)), baseText, marker);
  const tip = h("div", { class: "pv-tip", hidden: true, "aria-hidden": "true" });
  const empty = h("div", { class: "pv-curve-empty" }, "Measuring the network as it came…");
  const root = h("div", { class: "pv-curve-box" }, svg, tip, empty);

  let width = 0;
  let height = 0;
  let zoom = false;
  const x = (v) => THUMB / 2 + v * (width - THUMB);
  let domain = [0, 1];
  const y = (v) => CURVE_TOP + ((domain[1] - v) / (domain[1] - domain[0])) * (height - CURVE_TOP - 6);
  const sparsityAt = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left - THUMB / 2) / (box.width - THUMB)));
  };

  function choose(base) {
    if (!zoom || !known(base)) return [0, 1];
    const high = Math.min(1, Math.ceil(base * 50 + 0.5) / 50);
    return [Math.max(0, high - 0.12), high];
  }

  function drawGrid() {
    grid.replaceChildren();
    for (const t of zoom ? ticks(domain[0], domain[1], 4) : [0, 0.25, 0.5, 0.75, 1]) {
      const level = y(t);
      grid.append(s("line", { class: "pv-grid", x1: x(0), x2: x(1), y1: level, y2: level }),
        s("text", { class: "pv-axis", x: x(0) + 2, y: level - 4 }, `${percent(t, 0)} %`));
    }
  }

  const api = {
    root, svg, x,
    draw(at) {
      if (!width || !at) return;
      domain = choose(at.base && at.base.accuracy);
      drawGrid();
      const shapes = at.table ? curveShapes(at, x, y) : { empty: true, dots: {} };
      for (const name of ["band", "gaps", "guess", "exact"]) setAttr(lines[name], "d", shapes[name] || "");
      setAttr(lines.exactDots, "d", shapes.dots.exact || "");
      setAttr(lines.guessDots, "d", shapes.dots.estimate || "");
      setAttr(deletedLine, "d", at.table ? deletedShape(at, x, y) : "");
      setHidden(empty, !shapes.empty);
      const base = at.base && at.base.accuracy;
      const level = known(base) ? y(base) : -50;
      for (const [name, value] of [["x1", x(0)], ["x2", x(1)], ["y1", level], ["y2", level]]) {
        setAttr(baseLine, name, value.toFixed(1));
      }
      setAttr(baseText, "x", x(0) + 56);
      setAttr(baseText, "y", level - 6);
      setText(baseText, known(base) ? `as it came ${percent(base)} %` : "");
      const safe = freeUntil(at);
      setAttr(svg, "aria-label", shapes.empty ? "Accuracy at each position: being measured."
        : `Accuracy at each percent ${at.words}. ${integer(at.curve ? at.curve.known : 0)} of ${at.size} positions known.`
          + (at.curve && (at.curve.deleted || []).length ? " The dashed line is deletion without the repair." : "")
          + (safe ? ` Up to ${percent(at.table.sparsity[safe], 0)} percent it stays within one point of the start.` : ""));
      api.move(at);
    },
    move(at) {
      if (!width || !at) return;
      const px = x(at.position);
      marker.setAttribute("transform", `translate(${px.toFixed(2)} 0)`);
      shade.setAttribute("transform", `translate(${px.toFixed(2)} 0)`);
      const a = at.table ? accuracyAt(at) : { state: "unknown" };
      setAttr(marker, "data-state", a.state);
      setAttr(marker, "data-off", !at.table);
      setAttr(shade, "visibility", at.table ? null : "hidden");
      if (a.state !== "unknown") {
        const inside = (v) => Math.min(height, Math.max(CURVE_TOP - 8, y(v))).toFixed(1);
        markerDot.setAttribute("cy", inside(a.value));
        markerBar.setAttribute("y1", inside(a.high));
        markerBar.setAttribute("y2", inside(a.low));
      }
    },
    zoom(on) {
      zoom = on;
      api.draw(bus.at);
    },
  };

  watchSize(bus, root, (w, t) => {
    width = w;
    height = t;
    setAttr(svg, "width", w);
    setAttr(svg, "height", t);
    for (const [name, value] of [["x", 0], ["y", CURVE_TOP - 12], ["width", w], ["height", t]]) {
      setAttr(clipRect, name, value);
    }
    setAttr(shade, "width", w);
    setAttr(shade, "height", t);
    setAttr(markerLine, "y2", t);
    api.draw(bus.at);
  });

  // The curve can be grabbed like the slider; without a button held it tells what it knows.
  let held = false;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held = true;
    svg.setPointerCapture(event.pointerId);
    setHidden(tip, true);
    grab(sparsityAt(event), true);
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => {
    if (held) grab(sparsityAt(event), true);
    else if (event.pointerType === "mouse") hint(event);
  });
  const release = () => {
    if (held) grab(null, false);
    held = false;
  };
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);
  svg.addEventListener("pointerleave", () => setHidden(tip, true));

  function hint(event) {
    const at = bus.at;
    if (!at || !at.table) return;
    const k = nearest(at.table.sparsity, sparsityAt(event));
    const a = accuracyAt(at, k);
    const here = `${percent(at.table.sparsity[k], 0)} % gone: `;
    const plain = at.curve && at.curve.deleted ? at.curve.deleted[k] : null;
    const deleted = known(plain) ? `, only deleted ${percent(plain)} %` : "";
    setText(tip, (a.state === "unknown" ? `${here}not measured yet`
      : a.state === "exact" ? `${here}${percent(a.value)} %, exact`
        : `${here}${percent(a.low)} to ${percent(a.high)} %`) + deleted);
    setHidden(tip, false);
    const px = x(at.table.sparsity[k]);
    const room = Math.min(Math.max(px, 80), width - 80);
    tip.style.transform = `translate(${room.toFixed(0)}px, 0) translateX(-50%)`;
  }
  return api;
}
