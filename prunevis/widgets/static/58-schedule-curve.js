// The schedule as a curve of sparsity over the steps of training. The same picture is edited before it
// runs (points of a drawn one) and shows how far it is while it does.

const SCHEDULE_BOX = { left: 44, right: 12, top: 14, bottom: 34, height: 190 };

/** Corners of the stairs through drawn points: [[share of steps, share of sparsity]], as Python lays them. */
function drawnCorners(points) {
  const sorted = points.map((p) => [...p]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const corners = [[0, 0]];
  let high = 0;
  sorted.forEach(([at, share], i) => {
    const next = i === sorted.length - 1 ? 1 : Math.max(high, share);
    corners.push([at, high], [at, next]);
    high = next;
  });
  return [...corners, [1, high]];
}

function scheduleCurve(bus, edited) {
  const { left, right, top, bottom, height } = SCHEDULE_BOX;
  const grid = s("g");
  const bands = s("g");
  const area = s("path", { class: "pv-plan-area" });
  const line = s("path", { class: "pv-plan-line" });
  const done = s("path", { class: "pv-plan-done" });
  const marker = s("line", { class: "pv-plan-marker", y1: top });
  const handles = s("g");
  const svg = s("svg", { class: "pv-plan", role: "group", "aria-label": "Sparsity over the steps of training", height, "data-testid": "schedule-curve" },
    grid, bands, area, line, done, marker, handles);
  const caption = h("span", { class: "pv-number pv-strong", "data-testid": "schedule-final" });
  const add = h("button", { type: "button", class: "pv-chip", "data-testid": "point-add", onclick: addPoint }, "Add a point");
  const drop = h("button", { type: "button", class: "pv-chip", "data-testid": "point-remove", onclick: () => removePoint(chosen) }, "Remove the point");
  const help = h("span", { class: "pv-quiet" }, "Drag a point, or focus it and use the arrow keys; Delete removes it.");
  const tools = h("div", { class: "pv-actions" }, add, drop, help);
  const phase = h("p", { class: "pv-quiet", "data-testid": "schedule-phase" });
  const box = h("div", { class: "pv-plan-box" }, svg);
  const root = h("figure", { class: "pv-chart" },
    h("figcaption", null, h("span", null, "Sparsity over the training"), caption), box, phase, tools);

  let width = 0;
  let plan = {};
  let step = null;
  let points = null;
  let free = false;
  let chosen = 0;
  let dragged = null;
  watchSize(bus, box, (w) => {
    width = w;
    draw();
  });

  const steps = () => Math.max(1, plan.steps || 0);
  const x = (t) => left + (t / steps()) * (width - left - right);
  const y = (v) => top + (1 - v) * (height - top - bottom);
  const clamp = (v) => Math.min(1, Math.max(0, v));
  const rounded = (v) => Math.round(clamp(v) * 1000) / 1000;

  function corners() {
    if (!points) return plan.curve || [];
    return drawnCorners(points).map(([a, b]) => [a * steps(), b * (plan.sparsity || 0)]);
  }

  function draw() {
    if (!width) return;
    const floor = y(0);
    grid.replaceChildren();
    for (const v of [0, 0.5, 1]) {
      grid.append(s("line", { class: "pv-grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }),
        s("text", { class: "pv-axis", x: left - 6, y: y(v) + 4, "text-anchor": "end" }, `${100 * v} %`));
    }
    const per = plan.per_epoch || 1;
    for (const t of ticks(0, steps() / per, width < 420 ? 4 : 8)) {
      grid.append(s("text", { class: "pv-axis", x: x(t * per), y: floor + 14, "text-anchor": "middle" }, small(t)));
    }
    grid.append(s("text", { class: "pv-axis", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "epochs of training"));
    drawPhases(floor);
    const found = corners();
    const path = found.map(([t, v], i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    setAttr(line, "d", path || null);
    setAttr(area, "d", path ? `${path}L${x(found[found.length - 1][0]).toFixed(1)} ${floor}L${x(0)} ${floor}Z` : null);
    drawStep(found);
    drawHandles();
    const finale = found.length ? found[found.length - 1][1] : 0;
    const events = points ? points.length : (plan.events || []).length;
    setText(caption, `${percent(finale)} % after ${plural(events, "pruning")}`);
    setAttr(svg, "aria-label", `Sparsity over ${plural(plan.steps || 0, "step")} of training: it ends at ${percent(finale)} percent after ${plural(events, "pruning")}`);
  }

  function drawPhases(floor) {
    bands.replaceChildren();
    const phases = plan.phases || [];
    phases.forEach(([first, last, text], i) => {
      if (i) bands.append(s("line", { class: "pv-plan-phase", x1: x(first), x2: x(first), y1: top, y2: floor }));
      if ((x(last) - x(first)) > 6.2 * text.length + 8) {
        bands.append(s("text", { class: "pv-axis", x: (x(first) + x(last)) / 2, y: top - 3, "text-anchor": "middle" }, text));
      }
    });
  }

  function drawStep(found) {
    setHidden(phase, !known(step));
    marker.style.display = known(step) ? "" : "none";
    if (!known(step)) {
      setAttr(done, "d", null);
      return;
    }
    setAttr(marker, "x1", x(step));
    setAttr(marker, "x2", x(step));
    setAttr(marker, "y2", y(0));
    const past = found.filter(([t]) => t <= step);
    if (past.length) past.push([step, past[past.length - 1][1]]);
    setAttr(done, "d", past.map(([t, v], i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("") || null);
  }

  function drawHandles() {
    setHidden(tools, !points || !free);
    const shown = points && free ? points : [];
    while (handles.childNodes.length > shown.length) handles.lastChild.remove();
    shown.forEach(([at, share], i) => {
      let node = handles.childNodes[i];
      if (!node) {
        node = s("circle", { class: "pv-plan-point", r: 8, tabindex: 0, role: "slider", "aria-orientation": "vertical",
          "aria-valuemin": 0, "aria-valuemax": 100, "data-testid": `point-${i}`,
          onpointerdown: (event) => grab(event, i), onkeydown: (event) => key(event, i), onfocus: () => (chosen = i) });
        handles.append(node);
      }
      setAttr(node, "cx", x(at * steps()).toFixed(1));
      setAttr(node, "cy", y(share * (plan.sparsity || 0)).toFixed(1));
      setAttr(node, "aria-label", `Point ${i + 1} of ${shown.length}`);
      setAttr(node, "aria-valuenow", Math.round(100 * share));
      setAttr(node, "aria-valuetext", `after ${percent(at, 0)} percent of the training, ${percent(share, 0)} percent of the final sparsity`);
    });
    drop.disabled = !points || points.length < 2;
  }

  /** Points in the order of their steps; where point `i` has gone. */
  function order(i) {
    const moved = points[i];
    points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return points.indexOf(moved);
  }

  function change(settled) {
    draw();
    edited(points.map((p) => [...p]), settled);
  }

  function grab(event, i) {
    event.preventDefault();
    dragged = points[i];
    chosen = i;
    handles.childNodes[i].focus();
    svg.setPointerCapture(event.pointerId);
  }
  svg.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const frame = svg.getBoundingClientRect();
    dragged[0] = rounded((event.clientX - frame.left - left) / (width - left - right));
    const sparsity = 1 - (event.clientY - frame.top - top) / (height - top - bottom);
    dragged[1] = rounded(plan.sparsity > 0 ? sparsity / plan.sparsity : 0);
    chosen = order(points.indexOf(dragged));
    change(false);
  });
  const release = () => {
    if (!dragged) return;
    dragged = null;
    change(true);
    if (handles.childNodes[chosen]) handles.childNodes[chosen].focus();
  };
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);

  function key(event, i) {
    const by = event.shiftKey ? 0.1 : 0.01;
    const move = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, by], ArrowDown: [0, -by] }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      removePoint(i);
    } else if (move) {
      event.preventDefault();
      points[i] = [rounded(points[i][0] + move[0]), rounded(points[i][1] + move[1])];
      chosen = order(i);
      change(true);
      handles.childNodes[chosen].focus();
    }
  }

  function addPoint() {
    if (!points || points.length >= 40) return;
    // In the middle of the widest gap, so that it can be seen and taken hold of.
    const edges = [[0, 0], ...points, [1, 1]];
    let widest = 1;
    for (let i = 1; i < edges.length; i++) {
      if (edges[i][0] - edges[i - 1][0] > edges[widest][0] - edges[widest - 1][0]) widest = i;
    }
    const [a, b] = [edges[widest - 1], edges[widest]];
    points.push([rounded((a[0] + b[0]) / 2), rounded((a[1] + b[1]) / 2)]);
    chosen = order(points.length - 1);
    change(true);
    handles.childNodes[chosen].focus();
  }

  function removePoint(i) {
    if (!points || points.length < 2) return;
    points.splice(Math.min(i, points.length - 1), 1);
    chosen = Math.min(i, points.length - 1);
    change(true);
    handles.childNodes[chosen].focus();
  }

  return {
    root,
    set(next, at, name, editable) {
      plan = next;
      step = at;
      free = editable;
      if (!dragged) points = next.points && editable ? next.points.map((p) => [...p]) : null;
      setText(phase, name || "");
      draw();
    },
  };
}
