// The heart: sparsity as a number, the curve, the slider under it, and what is done with the result.

/** The position a dragging hand means: whole percents, and never beyond the table's end. */
function snapped(at, x) {
  const grid = Math.round(x * 100) / 100;
  const last = at && at.table ? at.table.sparsity[at.table.sparsity.length - 1] : 0.99;
  return Math.min(Math.max(grid, 0), last);
}

function sliderPart(bus, label) {
  const input = h("input", { type: "range", class: "pv-slider", min: 0, max: 100, step: "any", value: 0,
    "data-testid": "slider", "aria-labelledby": label });
  const go = (x) => {
    const next = snapped(bus.at, x);
    input.value = 100 * next;
    bus.move(next);
  };
  input.addEventListener("input", () => go(Number(input.value) / 100));
  input.addEventListener("pointerdown", () => bus.drag(true));
  for (const name of ["pointerup", "pointercancel", "change", "blur"]) {
    input.addEventListener(name, () => bus.drag(false));
  }
  input.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = 100 * bus.position;
    const up = Math.floor(now + 1 + 1e-6);
    const down = Math.ceil(now - 1 - 1e-6);
    const target = { ArrowRight: up, ArrowUp: up, ArrowLeft: down, ArrowDown: down,
      PageUp: up + 9, PageDown: down - 9, Home: 0, End: 100 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    go(target / 100);
  });
  const gone = h("i");
  const root = h("div", { class: "pv-slider-box" }, h("div", { class: "pv-rail", "aria-hidden": "true" }, gone), input);
  return {
    root, input, go,
    move(at) {
      const value = String(100 * at.position);
      if (Math.abs(Number(input.value) - 100 * at.position) > 1e-6) input.value = value;
      gone.style.transform = `scaleX(${at.position})`;
      const a = at.table ? accuracyAt(at) : { state: "unknown" };
      const words = a.state === "unknown" ? "accuracy not measured yet"
        : `accuracy ${a.state === "estimate" ? "about " : ""}${percent(a.value)} percent`;
      const of = at.words && at.words !== "sparsity" ? ` ${at.words}` : "";
      setAttr(input, "aria-valuetext", `${Number(percent(at.position))} percent${of}, ${words}`);
    },
  };
}

function sparsityField(bus, label) {
  const input = h("input", { type: "number", class: "pv-sparsity", min: 0, max: 99.9, step: 0.1, inputmode: "decimal",
    "data-testid": "sparsity", "aria-labelledby": label });
  let typing = false;
  const commit = () => {
    const value = Number(input.value);
    typing = false;
    if (input.value.trim() !== "" && known(value)) bus.move(Math.min(Math.max(value, 0), 99.9) / 100);
    bus.refresh();
  };
  input.addEventListener("input", (event) => {
    typing = true;
    if (!event.inputType) commit(); // the spin buttons and the arrow keys
  });
  input.addEventListener("change", commit);
  input.addEventListener("blur", commit);
  return {
    input,
    move(at) {
      const value = (100 * at.position).toFixed(1);
      if (!typing && input.value !== value) input.value = value;
    },
  };
}

function heartPanel(root, bus) {
  const label = freshId("sparsity");
  const number = sparsityField(bus, label);
  const slider = sliderPart(bus, label);
  const curve = curvePart(bus, (x, held) => {
    bus.drag(held);
    if (x !== null) slider.go(x);
  });
  const heading = h("span", { class: "pv-h", id: label }, "Sparsity");
  const of = h("select", { class: "pv-of", "data-testid": "of", "aria-label": "What the slider counts in",
    title: "What the slider counts in", onchange: () => bus.send("of", { name: of.value }) });
  const achieved = h("span", { class: "pv-quiet", "data-testid": "achieved" });
  const free = h("button", { type: "button", class: "pv-link pv-free", "data-testid": "free" });
  const zoom = h("button", { type: "button", class: "pv-chip", "aria-pressed": "false", "data-testid": "zoom",
    title: "Show only the twelve points below the start",
    onclick: () => {
      const on = zoom.getAttribute("aria-pressed") !== "true";
      setAttr(zoom, "aria-pressed", on ? "true" : "false");
      curve.zoom(on);
    } }, "Zoom in");
  const key = (name, text) => h("span", { class: "pv-key" }, h("i", { class: `pv-key-${name}` }), text);
  const deletedKey = key("deleted", "only deleted");
  const legend = h("div", { class: "pv-legend" },
    h("span", null, "accuracy at each position"), key("line", "exact"), key("band", "estimate, 95 % interval"),
    key("gap", "not measured yet"), deletedKey);
  const scale = h("div", { class: "pv-scale", "aria-hidden": "true" },
    ...[0, 20, 40, 60, 80, 100].map((t) => h("span", { style: `--t:${t / 100}` }, `${t}${t === 100 ? " %" : ""}`)));
  const card = h("section", { class: "pv-card pv-heart", "aria-label": "Sparsity and accuracy" },
    h("div", { class: "pv-heart-head" },
      h("div", { class: "pv-sparsity-line" }, heading,
        h("span", { class: "pv-sparsity-box" }, number.input, h("span", null, "%")), of, achieved),
      zoom),
    curve.root, slider.root, scale,
    h("div", { class: "pv-under" }, legend, free));
  root.append(card);
  stepsPart(card, bus);

  let safe = null;
  free.addEventListener("click", () => safe !== null && bus.move(safe));
  bus.watch(["table", "curve"], (at) => {
    curve.draw(at);
    setHidden(deletedKey, !(at.curve && (at.curve.deleted || []).length));
    // With no layer ticked every position is free, and says nothing.
    const goes = at.table && (!at.table.achieved || at.table.achieved[at.size - 1] > 0);
    const k = goes ? freeUntil(at) : null;
    safe = k ? at.table.sparsity[k] : null;
    const whole = !at.table || !at.table.of || at.table.of === "sparsity";
    setText(heading, whole ? "Sparsity" : "Removed");
    setText(free, safe ? `Up to ${percent(safe, 0)} % goes for less than one point` : "");
    setAttr(free, "title", safe ? "Move the slider there" : null);
    setHidden(free, !safe);
    slider.input.disabled = !at.table;
    number.input.disabled = !at.table;
    setAttr(bus.root, "data-known", at.curve ? at.curve.known : 0);
  });
  bus.watch(["controls"], () => {
    const c = bus.slice("controls");
    setHidden(of, !(c.ofs || []).length);
    setOptions(of, c.ofs || [], c.of);
  });
  bus.onMove((at) => {
    slider.move(at);
    number.move(at);
    curve.move(at);
    const got = at.table && at.table.achieved ? at.table.achieved[at.k] : null;
    const apart = known(got) && at.exactly && Math.abs(got - at.position) >= 0.0005;
    const end = at.table && at.exactly && at.k === at.size - 1 && endsEarly(at.table);
    setText(achieved, [apart && `${percent(got)} % of all ${at.byUnit ? "units" : "weights"} go`,
      end && "no more can go"].filter(Boolean).join("; "));
  });
}
