// A small line chart for numbers that keep arriving: [[x, y], ...], drawn whole each time.

function lineChart(bus, label, format, fixed = null) {
  const last = h("span", { class: "pv-number pv-strong" });
  let points = [];
  let right = 1;
  let mark = null;
  let events = [];
  const picture = surface(bus, { role: "img", "aria-label": label }, (c, width, height, colors) => {
    const left = 44;
    const floor = height - 18;
    const top = 8;
    let low = fixed ? fixed[0] : Infinity;
    let high = fixed ? fixed[1] : -Infinity;
    if (!fixed) {
      for (const [, v] of points) {
        low = Math.min(low, v);
        high = Math.max(high, v);
      }
      if (known(mark)) {
        low = Math.min(low, mark);
        high = Math.max(high, mark);
      }
      if (!(high > low)) [low, high] = known(low) ? [low - 0.01, high + 0.01] : [0, 1];
      const air = 0.12 * (high - low);
      low -= air;
      high += air;
    }
    const x = (v) => left + (v / right) * (width - left - 6);
    const y = (v) => top + ((high - v) / (high - low)) * (floor - top);
    c.font = `11px ${colors.font}`;
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const t of ticks(low, high, 5)) {
      c.fillStyle = colors.line;
      c.fillRect(left, y(t), width - left, 1);
      c.fillStyle = colors.quiet;
      c.fillText(tr(format(t)), left - 6, y(t));
    }
    if (known(mark)) {
      c.strokeStyle = colors.pruned;
      c.setLineDash([4, 3]);
      c.beginPath();
      c.moveTo(left, y(mark));
      c.lineTo(width, y(mark));
      c.stroke();
      c.setLineDash([]);
    }
    // What happened at a step: a fine line from the floor, one a pixel at most.
    c.fillStyle = colors.pruned;
    let drawnAt = -Infinity;
    for (const [at] of events) {
      if (x(at) - drawnAt < 1.5) continue;
      drawnAt = x(at);
      c.globalAlpha = 0.35;
      c.fillRect(drawnAt - 0.5, top, 1, floor - top);
      c.globalAlpha = 1;
      c.fillRect(drawnAt - 1.5, floor, 3, 5);
    }
    c.strokeStyle = colors.kept;
    c.fillStyle = colors.kept;
    c.lineWidth = 2;
    c.lineJoin = "round";
    c.beginPath();
    points.forEach(([px, v], i) => (i ? c.lineTo(x(px), y(v)) : c.moveTo(x(px), y(v))));
    c.stroke();
    for (const [px, v] of points.length < 30 ? points : points.slice(-1)) {
      c.beginPath();
      c.arc(x(px), y(v), 3, 0, 7);
      c.fill();
    }
  });
  picture.root.classList.add("pv-line-chart");
  return {
    root: h("figure", { class: "pv-chart" }, h("figcaption", null, h("span", null, label), last), picture.root),
    set(next, end, line = null, marks = []) {
      events = marks;
      points = next.filter(([a, b]) => known(a) && known(b));
      right = Math.max(end || 0, points.length ? points[points.length - 1][0] : 1, 1e-9);
      mark = line;
      const newest = points.length ? format(points[points.length - 1][1]) : UNKNOWN;
      setText(last, newest);
      setAttr(picture.canvas, "aria-label", `${label}, now ${newest}${marks.length ? `; pruned ${plural(marks.length, "time")}` : ""}`);
      setAttr(picture.canvas, "data-points", points.length);
      setAttr(picture.canvas, "data-events", marks.length);
      picture.draw();
    },
  };
}
