// Accuracy against what is saved: size, FLOPs or parameters, from the same table as the slider. Every
// dot is one position; a click goes there.

/** Positions from which on it is said which of them others beat. */
const ENOUGH = 8;
const PLOT = { left: 46, right: 16, top: 16, bottom: 44 };

const AXES = {
  size: { label: "Size", kind: "bytes", of: (t) => t.bytes, base: (b) => b.bytes, text: () => "File size" },
  flops: { label: "FLOPs", kind: "count", of: (t) => (t.granularity === "unit" ? t.removed_flops : t.effective_flops),
    base: (b) => b.flops, paper: (p) => p.flops,
    text: (t) => (t.granularity === "unit" ? "FLOPs for one input, after removal" : "FLOPs for one input, if zeros were skipped") },
  params: { label: "Parameters", kind: "count", of: (t) => t.params, base: (b) => b.params,
    paper: (p) => p.params, text: (t) => (t.granularity === "unit" ? "Parameters" : "Parameters that are not zero") },
};

/** Those of `points` {v, a: {value}} that no other beats: smaller v and higher value are better. */
function paretoFront(points) {
  let best = -Infinity;
  const order = [...points].sort((p, q) => p.v - q.v || q.a.value - p.a.value);
  return order.filter((p) => {
    if (!(p.a.value > best)) return false;
    best = p.a.value;
    return true;
  });
}

function tradeoffPanel(root, bus) {
  let name = "size";
  let width = 0;
  let height = 0;
  let place = null;
  const toggle = choice("Against", "tradeoff", Object.entries(AXES).map(([key, axis]) => [key, axis.label]), name, (next) => {
    name = next;
    draw(bus.at);
  });
  const title = h("h3", { class: "pv-h" });
  const grid = s("g");
  const line = s("path", { class: "pv-curve-exact" });
  const band = s("path", { class: "pv-curve-band" });
  const guess = s("path", { class: "pv-curve-dot-estimate" });
  const dots = s("path", { class: "pv-curve-dot-exact" });
  const papers = s("g");
  const front = s("path", { class: "pv-front" });
  const start = s("circle", { class: "pv-start", r: 4.5 });
  const startText = s("text", { class: "pv-axis", "text-anchor": "end" }, "as it came");
  const marker = s("g", null, s("circle", { class: "pv-curve-point", r: 6 }));
  const drop = s("line", { class: "pv-curve-marker" });
  const svg = s("svg", { class: "pv-tradeoff-svg", role: "img" }, grid, papers, front, band, line, guess, dots, start, startText, drop, marker);
  const box = h("div", { class: "pv-tradeoff" }, svg);
  const caption = h("p", { class: "pv-quiet", "data-testid": "tradeoff-caption" });
  const beaten = h("p", { class: "pv-quiet", "data-testid": "pareto" });
  const empty = emptyState("The curve appears as positions are measured.");
  const body = h("div", { hidden: true }, h("div", { class: "pv-view-head" }, title, toggle.root), box, caption, beaten);
  root.append(body, empty.root);

  function draw(at) {
    if (!at || !at.table) return;
    const axis = AXES[name];
    const values = axis.of(at.table);
    const base = axis.base(at.base);
    const seen = [];
    for (let k = 0; k < at.size; k++) {
      const a = accuracyAt(at, k);
      if (a.state !== "unknown" && values[k] > 0) seen.push({ k, a, v: values[k] });
    }
    setHidden(body, !seen.length);
    setHidden(empty.root, seen.length > 0);
    if (!seen.length || !width) return; // the width is told once it is shown
    const behind = axis.paper ? (bus.slice("judged_view").published || []).filter((p) => known(axis.paper(p))) : [];
    const all = [...behind.map((p) => axis.paper(p)), ...seen.map((p) => p.v), base].filter((v) => known(v) && v > 0);
    const low = Math.min(...all) / 1.15;
    const high = Math.max(...all) * 1.15;
    const floor = height - PLOT.bottom;
    const x = (v) => PLOT.left + (Math.log(v / low) / Math.log(high / low)) * (width - PLOT.left - PLOT.right);
    const y = (v) => PLOT.top + (1 - v) * (floor - PLOT.top);
    place = { x, y, seen, values };
    drawAxes(at, axis, low, high, x, y, floor, base);
    papers.replaceChildren(...behind.map((p) => s("circle", { class: "pv-paper", r: 3.5, cx: x(axis.paper(p)).toFixed(1), cy: y(p.accuracy).toFixed(1) },
      s("title", null, `${p.paper}: ${p.method}, ${percent(p.accuracy)} %`))));

    const point = (p) => `${x(p.v).toFixed(1)} ${y(p.a.value).toFixed(1)}`;
    setAttr(line, "d", seen.length > 1 ? `M${seen.map(point).join("L")}` : "");
    const edge = (p, v) => `${x(p.v).toFixed(1)} ${y(v).toFixed(1)}`;
    setAttr(band, "d", seen.length < 2 ? "" : `M${seen.map((p) => edge(p, p.a.high)).join("L")}L${
      [...seen].reverse().map((p) => edge(p, p.a.low)).join("L")}Z`);
    const best = paretoFront(seen);
    setHidden(front, seen.length < ENOUGH);
    setHidden(beaten, seen.length < ENOUGH);
    // A step from each point of the front to the next: left of and above it there is nothing.
    setAttr(front, "d", best.map((p, i) => (i ? `H${x(p.v).toFixed(1)}V${y(p.a.value).toFixed(1)}` : `M${point(p)}`)).join(""));
    const worse = seen.length - best.length;
    setText(beaten, `Dashed: the Pareto front. ${worse ? `${worse} of ${seen.length} positions lie below it: another is no larger and at least as accurate.`
      : "No position is beaten by one that is no larger and at least as accurate."}`);
    const ring = (p) => `M${(x(p.v) - 2.4).toFixed(1)} ${y(p.a.value).toFixed(1)}a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0 -4.8 0`;
    setAttr(dots, "d", seen.filter((p) => p.a.state === "exact").map(ring).join(""));
    setAttr(guess, "d", seen.filter((p) => p.a.state !== "exact").map(ring).join(""));
    setText(title, `Accuracy against ${axis.label === "FLOPs" ? "FLOPs" : axis.label.toLowerCase()}`);
    setAttr(svg, "aria-label", `Accuracy against ${axis.text(at.table)}, ${seen.length} positions known.`);
    move(at);
  }

  function drawAxes(at, axis, low, high, x, y, floor, base) {
    grid.replaceChildren();
    for (const t of [0, 0.25, 0.5, 0.75, 1]) {
      grid.append(s("line", { class: "pv-grid", x1: PLOT.left, x2: width - PLOT.right, y1: y(t), y2: y(t) }),
        s("text", { class: "pv-axis", x: PLOT.left - 8, y: y(t) + 4, "text-anchor": "end" }, `${percent(t, 0)} %`));
    }
    for (const t of logTicks(low, high)) {
      grid.append(s("line", { class: "pv-grid", x1: x(t), x2: x(t), y1: floor, y2: floor + 5 }),
        s("text", { class: "pv-axis", x: x(t), y: floor + 18, "text-anchor": "middle" },
          tickText(t, axis.kind)));
    }
    grid.append(s("text", { class: "pv-axis pv-axis-title", x: (PLOT.left + width - PLOT.right) / 2, y: height - 6,
      "text-anchor": "middle" }, width < 560 ? `${axis.text(at.table)} (log scale)`
        : `${axis.text(at.table)}; each step to the left is a factor (log scale)`));
    const has = known(base) && known(at.base.accuracy);
    for (const node of [start, startText]) setAttr(node, "visibility", has ? null : "hidden");
    if (!has) return;
    setAttr(start, "cx", x(base));
    setAttr(start, "cy", y(at.base.accuracy));
    setAttr(startText, "x", x(base) + 4);
    setAttr(startText, "y", y(at.base.accuracy) - 10);
  }

  function move(at) {
    if (!place || !at.table) return;
    const axis = AXES[name];
    const v = axis.of(at.table)[at.k];
    const a = accuracyAt(at);
    const on = a.state !== "unknown" && v > 0;
    setAttr(marker, "visibility", on ? null : "hidden");
    setAttr(drop, "visibility", v > 0 ? null : "hidden");
    if (!(v > 0)) return;
    const px = place.x(v).toFixed(1);
    for (const [key, value] of [["x1", px], ["x2", px], ["y1", PLOT.top], ["y2", height - PLOT.bottom]]) setAttr(drop, key, value);
    if (on) setAttr(marker, "transform", `translate(${px} ${place.y(a.value).toFixed(1)})`);
    const base = axis.base(at.base);
    const times = ratio(base, v);
    setText(caption, `At ${percent(at.position)} % ${at.words}: ${scaledText(v, axis.kind, base)}${times ? `, ${times} less than it came with` : ""}, `
      + (on ? `${percent(a.value)} % right${a.state === "estimate" ? " (estimate)" : ""}.` : "accuracy not measured yet."));
  }

  watchSize(bus, box, (w, t) => {
    width = w;
    height = t;
    setAttr(svg, "width", w);
    setAttr(svg, "height", t);
    draw(bus.at);
  });
  svg.addEventListener("click", (event) => {
    if (!place) return;
    const rect = svg.getBoundingClientRect();
    const near = (p) => Math.hypot(place.x(p.v) - (event.clientX - rect.left), place.y(p.a.value) - (event.clientY - rect.top));
    const best = place.seen.reduce((a, b) => (near(b) < near(a) ? b : a));
    if (near(best) < 40) bus.move(bus.at.table.sparsity[best.k]);
  });
  bus.watch(["table", "curve", "judged_view"], draw, "tradeoff");
  bus.onMove(move, { tab: "tradeoff", later: true, box: root });
  judgedPanel(root, bus);
}
