// The histogram of one layer's weights, what goes at the slider's position in another colour, with the
// threshold moving on it.

const HISTOGRAM = { left: 10, right: 10, top: 30, bottom: 24 };

/** What the histogram shows at position `k`: bars kept and cut, and the numbers of its title. */
function histogramAt(w, cut, k) {
  const bins = w.counts.length;
  const gone = new Array(bins);
  let total = 0;
  for (let b = 0; b < bins; b++) {
    gone[b] = cut ? cut[k * bins + b] : 0;
    total += gone[b];
  }
  const removed = w.removed && known(w.removed[k]) ? w.removed[k] : total;
  return { gone, removed, threshold: w.threshold ? w.threshold[k] : null };
}

function drawHistogram(c, width, height, colors, w, now, mode) {
  const bins = w.counts.length;
  const low = w.edges[0];
  const high = w.edges[bins];
  const { left, right, top, bottom } = HISTOGRAM;
  const x = (v) => left + ((v - low) / (high - low || 1)) * (width - left - right);
  const floor = height - bottom;
  let most = 1;
  for (let b = 0; b < bins; b++) most = Math.max(most, w.counts[b], w.original ? w.original[b] : 0);
  const tall = (n) => (n / most) * (floor - top);
  const gap = width / bins > 5 ? 1 : 0;
  const bar = (b, n, above) => {
    const x0 = x(w.edges[b]);
    const full = Math.max(x(w.edges[b + 1]) - x0 - gap, 0.7);
    c.rect(x0, floor - tall(n) - tall(above), full, tall(n));
  };

  c.fillStyle = colors.kept;
  c.beginPath();
  for (let b = 0; b < bins; b++) bar(b, w.counts[b] - now.gone[b], 0);
  c.fill();

  // The cut part is lighter and hatched, so that it is told apart without its colour.
  if (mode === "before") {
    const cuts = new Path2D();
    for (let b = 0; b < bins; b++) {
      if (!now.gone[b]) continue;
      const x0 = x(w.edges[b]);
      const kept = tall(w.counts[b] - now.gone[b]);
      const t = tall(now.gone[b]);
      cuts.rect(x0, floor - kept - t, Math.max(x(w.edges[b + 1]) - x0 - gap, 0.7), t);
    }
    c.fillStyle = colors.prunedSoft;
    c.fill(cuts);
    c.save();
    c.clip(cuts);
    c.strokeStyle = colors.pruned;
    c.globalAlpha = 0.55;
    c.lineWidth = 1;
    c.beginPath();
    for (let d = -height; d < width; d += 6) {
      c.moveTo(d, floor);
      c.lineTo(d + height, floor - height);
    }
    c.stroke();
    c.restore();
  }

  if (w.original) outline(c, w.original, w.edges, x, (n) => floor - tall(n), floor, colors);
  axis(c, low, high, x, floor, width, colors);
  if (mode === "after" && now.removed > 0) zeroBar(c, x(0), floor, top, now.removed, colors, width);
  if (known(now.threshold) && now.threshold > 0 && mode === "before") {
    threshold(c, now.threshold, x, floor, width, colors);
  }
}

function outline(c, counts, edges, x, y, floor, colors) {
  c.strokeStyle = colors.quiet;
  c.setLineDash([3, 2]);
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(x(edges[0]), floor);
  counts.forEach((n, b) => {
    c.lineTo(x(edges[b]), y(n));
    c.lineTo(x(edges[b + 1]), y(n));
  });
  c.lineTo(x(edges[counts.length]), floor);
  c.stroke();
  c.setLineDash([]);
}

function axis(c, low, high, x, floor, width, colors) {
  c.fillStyle = colors.line;
  c.fillRect(0, floor, width, 1);
  c.fillStyle = colors.quiet;
  c.font = `11px ${colors.font}`;
  c.textBaseline = "top";
  for (const t of ticks(low, high, width < 420 ? 5 : 8)) {
    const text = t > 0 ? `+${small(t)}` : small(t);
    const half = c.measureText(text).width / 2;
    if (x(t) - half < 0 || x(t) + half > width) continue;
    c.textAlign = "center";
    c.fillText(tr(text), x(t), floor + 8);
    c.fillRect(x(t), floor, 1, 4);
  }
}

function threshold(c, t, x, floor, width, colors) {
  c.fillStyle = colors.pruned;
  for (const v of [-t, t]) c.fillRect(x(v) - 0.75, 14, 1.5, floor - 14);
  const text = `|w| ≤ ${small(t)}`;
  c.font = `600 12px ${colors.font}`;
  c.fillStyle = colors.prunedText;
  c.textBaseline = "top";
  const wide = c.measureText(text).width;
  const inside = x(t) + 6 + wide > width;
  c.textAlign = inside ? "right" : "left";
  c.fillText(tr(text), inside ? Math.min(x(t) - 6, width) : x(t) + 6, 12);
}

function zeroBar(c, x, floor, top, removed, colors, width) {
  c.strokeStyle = colors.pruned;
  c.lineWidth = 1.5;
  c.setLineDash([4, 3]);
  c.strokeRect(x - 4, top - 6, 8, floor - top + 6);
  c.setLineDash([]);
  c.font = `600 12px ${colors.font}`;
  c.fillStyle = colors.prunedText;
  c.textBaseline = "top";
  c.textAlign = "left";
  c.fillText(tr(plural(removed, "zero")), Math.min(x + 10, width - 110), 12);
}

function weightsPanel(root, bus) {
  const title = h("h3", { class: "pv-h", "data-testid": "weights-title" });
  const summary = h("p", { class: "pv-quiet" });
  const empty = emptyState();
  let mode = "before";
  const toggle = choice("Before or after", "weights", [["before", "Before"], ["after", "After"]], mode, (name) => {
    mode = name;
    redraw();
  });
  let w = null;
  let cut = null;
  let now = null;
  const picture = surface(bus, { role: "img", "data-testid": "histogram" }, (c, width, height, colors) => {
    if (w && now) drawHistogram(c, width, height, colors, w, now, mode);
  });
  picture.root.classList.add("pv-histogram");
  const key = h("div", { class: "pv-legend" },
    h("span", { class: "pv-key" }, h("i", { class: "pv-key-kept" }), "stays"),
    h("span", { class: "pv-key" }, h("i", { class: "pv-key-cut" }), "goes"));
  const before = h("span", { class: "pv-key" }, h("i", { class: "pv-key-outline" }), "as it came");
  key.append(before);
  const body = h("div", null, h("div", { class: "pv-view-head" }, title, toggle.root), picture.root,
    h("div", { class: "pv-view-foot" }, key, summary));
  root.append(body, empty.root);

  function redraw() {
    picture.draw();
  }

  bus.watch(["weights", "table"], () => {
    const next = bus.slice("weights");
    const usable = Array.isArray(next.counts) && next.counts.length && !next.reason;
    setHidden(body, !!next.reason || (!usable && !w));
    setHidden(empty.root, !next.reason && (usable || !!w));
    empty.set(next.reason || "Counting the weights…");
    if (!usable || next === w) return;
    w = next;
    const bytes = bytesOf(w.cut);
    cut = bytes && w.K > 0 && bytes.byteLength >= 4 * w.K * w.counts.length
      ? new Uint32Array(bytes, 0, w.K * w.counts.length) : null;
    setText(summary, w.summary);
    setHidden(before, !w.original);
    now = null;
  }, "weights");
  bus.onMove((at) => {
    if (!w || !at.table) return;
    const fresh = w.key === at.table.key && w.K === at.size;
    setAttr(body, "data-stale", !fresh);
    const k = fresh ? at.k : Math.min(w.K - 1, Math.round((at.k / Math.max(1, at.size - 1)) * (w.K - 1)));
    now = histogramAt(w, cut, k);
    // Writing on a canvas brings the page's layout up to date: do it before anything else changes.
    redraw();
    const part = w.total ? now.removed / w.total : 0;
    setText(title, `${w.layer}: ${plural(w.total, "weight")}, ${part > 0 ? `${share(part)} % go` : "all stay"}`);
    setAttr(picture.canvas, "aria-label", `Histogram of the weights of ${w.layer}, from ${small(w.edges[0])} to `
      + `${small(w.edges[w.edges.length - 1])}. ${integer(now.removed)} of ${integer(w.total)} go`
      + (known(now.threshold) && now.threshold > 0 ? `, those with |w| up to ${small(now.threshold)}.` : "."));
  }, { tab: "weights", later: true, box: root });
}
