// Every unit of a layer by what it does: how much it fires, how often it is silent, which ones go at
// the slider's position; and one unit from close by.

const ALMOST_NEVER = 0.99;

/** Units sorted by activity, as bars. */
function sortedBars(bus, choose) {
  let data = null;
  let goes = () => false;
  let order = [];
  let chosen = null;
  const picture = surface(bus, { role: "img", "data-testid": "bars" }, (c, width, height, colors) => {
    if (!data) return;
    const floor = height - 20;
    const step = width / data.n;
    const wide = step > 4 ? step - 1 : step + 0.5;
    order.forEach((i, place) => {
      const tall = Math.max(data.value(i) * (floor - 8), 1);
      c.fillStyle = goes(i) ? colors.prunedSoft : colors.kept;
      c.fillRect(place * step, floor - tall, wide, tall);
      if (goes(i)) {
        c.fillStyle = colors.pruned;
        c.fillRect(place * step, floor - tall, wide, 1.5);
      }
      if (i === chosen) {
        c.fillStyle = colors.ink;
        c.fillRect(place * step, floor + 2, Math.max(wide, 2), 4);
      }
    });
    c.fillStyle = colors.line;
    c.fillRect(0, floor, width, 1);
    c.fillStyle = colors.quiet;
    c.font = `11px ${colors.font}`;
    c.textBaseline = "top";
    c.textAlign = "left";
    c.fillText(tr("fires most"), 0, floor + 7);
    c.textAlign = "right";
    c.fillText(tr("fires least"), width, floor + 7);
  });
  picture.root.classList.add("pv-bars");
  picture.canvas.addEventListener("click", (event) => {
    const place = Math.floor((event.offsetX / picture.width) * order.length);
    if (order[place] !== undefined) choose(order[place]);
  });
  return {
    root: picture.root,
    set(next, label) {
      data = next;
      order = Array.from({ length: data.n }, (_, i) => i).sort((a, b) => data.value(b) - data.value(a));
      setAttr(picture.canvas, "aria-label", `${label} Sorted by mean activation.`);
      picture.draw();
    },
    mark(next) {
      goes = next;
      picture.draw();
    },
    select(i) {
      chosen = i;
      picture.draw();
    },
  };
}

/** One unit from close by: a picture, and facts. */
function unitPart(bus, current) {
  const title = h("h3", { class: "pv-h" });
  const picture = pngImage(bus, "pv-figure");
  const text = h("p", { class: "pv-quiet" });
  const facts = h("dl", { class: "pv-facts" });
  const body = h("div", null, title, picture.root, text, facts);
  const empty = emptyState("Pick a unit to see its weights and the inputs that excite it most.");
  const root = h("aside", { class: "pv-unit", "aria-label": "The picked unit", "data-testid": "unit" }, body, empty.root);
  let shownLayer = null;
  const update = () => {
    const unit = bus.slice("unit");
    const [layer, wanted] = current();
    const has = known(unit.unit) && unit.layer === layer;
    const waiting = wanted !== null && (!has || unit.unit !== wanted);
    // The last unit stays, faded, until the next one is drawn: nothing flickers.
    const keeps = has || (waiting && shownLayer === layer);
    setHidden(body, !keeps);
    setHidden(empty.root, keeps);
    setAttr(body, "data-stale", keeps && waiting);
    empty.set(waiting ? `Looking at unit ${wanted}…` : "Pick a unit to see its weights and the inputs that excite it most.");
    if (!has) return;
    shownLayer = layer;
    setText(title, `${unit.layer}, unit ${unit.unit}`);
    picture.set(unit.png, unit.alt);
    setText(text, unit.text);
    facts.replaceChildren(...(unit.facts || []).map(([label, value]) => h("div", null, h("dt", null, label), h("dd", null, value))));
  };
  bus.watch(["unit"], update, "neurons");
  return { root, update };
}

function neuronsPanel(root, bus) {
  let d = null;
  let picked = null;
  let parts = [];
  let view = "mean";
  let lastCut = null;
  let order = [];

  const choose = (i) => {
    picked = i;
    for (const part of parts) part.select(i);
    number.value = i;
    bus.send("unit", { unit: i });
    unit.update();
  };
  const title = h("h3", { class: "pv-h", "data-testid": "neurons-title" });
  const caption = h("p", { class: "pv-quiet" });
  const going = h("p", { class: "pv-quiet", "data-testid": "neurons-going" });
  const empty = emptyState();
  const toggle = choice("Show", "neurons", [["mean", "Mean activation"], ["zeros", "Share of zeros"], ["bars", "Sorted bars"]],
    view, (name) => {
      view = name;
      fillViews();
    });
  const number = h("input", { type: "number", min: 0, step: 1, class: "pv-small", "data-testid": "unit-number",
    onchange: () => {
      const i = Math.round(Number(number.value));
      if (d && number.value !== "" && i >= 0 && i < d.mean.length) choose(i);
    } });
  const few = buttonCells(choose);
  const many = canvasCells(bus, choose);
  const bars = sortedBars(bus, choose);
  const unit = unitPart(bus, () => [d && d.layer, picked]);
  const grid = h("div", { class: "pv-cells-box" }, few.root, many.root, bars.root);
  const swatch = (name, text) => h("span", { class: "pv-key" }, h("i", { class: `pv-key-${name}` }), text);
  const cutKey = swatch("cut", "goes");
  const body = h("div", { class: "pv-neurons" },
    h("div", { class: "pv-neurons-left" },
      h("div", { class: "pv-view-head" }, title, toggle.root), grid,
      h("div", { class: "pv-view-foot" },
        h("div", { class: "pv-legend" }, swatch("ramp", "more"), swatch("silent", "silent in 99 % of answers"), cutKey,
          h("label", { class: "pv-picker" }, h("span", null, "Unit"), number)),
        caption, going)),
    unit.root);
  root.append(body, empty.root);

  function fillViews() {
    if (!d) return;
    const n = d.mean.length;
    const most = Math.max(...d.mean.map((v) => Math.abs(v)), 1e-12);
    const silent = (i) => !!(d.never && d.never[i]) || d.zero_share[i] >= ALMOST_NEVER;
    const name = (i) => `unit ${i}: ${silent(i) ? (d.never && d.never[i] ? "never fires, " : "almost never fires, ") : ""}`
      + `mean ${small(d.mean[i])}, zero in ${share(d.zero_share[i])} % of its answers`;
    const data = {
      n, silent, name,
      value: (i) => Math.abs(d.mean[i]) / most,
      shade: view === "zeros" ? (i) => 1 - d.zero_share[i] : (i) => Math.sqrt(Math.abs(d.mean[i]) / most),
    };
    const label = `${n} units of ${d.layer}.`;
    const crowd = n > MANY_UNITS;
    setHidden(few.root, crowd || view === "bars");
    setHidden(many.root, !crowd || view === "bars");
    setHidden(bars.root, view !== "bars");
    const shownPart = view === "bars" ? bars : crowd ? many : few;
    parts = [shownPart];
    shownPart.set(data, label);
    shownPart.select(picked);
    const seen = `${integer(d.examples)} ${{ train: "training ", test: "test " }[d.split] || ""}examples`;
    setText(caption, (view === "zeros" ? `Darker is silent less often, on ${seen}.`
      : view === "bars" ? `Mean activation on ${seen}.` : `Darker fires more, on ${seen}.`)
      + (d.exact_zeros === false ? " Answers close to zero count as zero." : ""));
    lastCut = null;
    if (bus.at && bus.at.table) mark(bus.at);
  }

  function mark(at) {
    const fresh = d.key === at.table.key;
    const ranked = fresh && d.rank && d.cuts && d.cuts.length === at.size;
    const cut = ranked ? d.cuts[at.k] : 0;
    setHidden(cutKey, !ranked);
    setText(going, ranked
      ? `${plural(cut, "unit")} of ${integer(d.mean.length)} ${cut === 1 ? "goes" : "go"} here` + silentAmong(cut)
      : "Choose Remove: Units, and the cells show which of them go.");
    if (cut === lastCut) return;
    const goes = ranked ? (i) => d.rank[i] < cut : () => false;
    const touched = lastCut === null || !ranked ? d.mean.map((_, i) => i)
      : order.slice(Math.min(cut, lastCut), Math.max(cut, lastCut));
    for (const part of parts) part.mark(goes, touched);
    lastCut = cut;
  }

  let silentSums = null;
  const silentAmong = (cut) => {
    if (!cut || !silentSums) return ".";
    const n = silentSums[cut];
    return n ? `; ${n === cut ? "all" : integer(n)} of them almost never fire.` : "; all of them fire now and then.";
  };

  bus.watch(["neurons"], () => {
    const next = bus.slice("neurons");
    const usable = Array.isArray(next.mean) && next.mean.length && !next.reason;
    setHidden(body, !!next.reason || (!usable && !d));
    setHidden(empty.root, !next.reason && (usable || !!d));
    empty.set(next.reason || "Watching the units on a few hundred images…");
    if (!usable) return;
    const same = d && d.layer === next.layer && d.mean.length === next.mean.length;
    d = next;
    if (!same) picked = null;
    if (known(d.selected)) picked = d.selected;
    setAttr(number, "max", d.mean.length - 1);
    number.value = picked === null ? "" : picked;
    order = [];
    silentSums = null;
    if (d.rank) {
      d.rank.forEach((r, i) => (order[r] = i));
      silentSums = [0];
      order.forEach((i, r) => (silentSums[r + 1] = silentSums[r] + (d.zero_share[i] >= ALMOST_NEVER ? 1 : 0)));
    }
    const dead = d.never ? d.never.reduce((a, b) => a + (b ? 1 : 0), 0) : 0;
    setText(title, `${d.layer}: ${dead ? `${integer(dead)} of ${plural(d.mean.length, "unit")} never ${dead === 1 ? "fires" : "fire"}`
      : `all ${plural(d.mean.length, "unit")} fire`}`);
    fillViews();
    unit.update();
  }, "neurons");
  bus.onMove((at) => {
    if (!d || !at.table) return;
    setAttr(body, "data-stale", d.key !== at.table.key);
    mark(at);
  }, { tab: "neurons", later: true, box: root });
}
