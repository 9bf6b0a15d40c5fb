// The network as a drawing: who reads whom, what it costs, what goes, and which layers leave together
// and why. Picking a layer picks it for all views; picking a folded block opens it.

const WIDE_FROM = 620;
/** With more nodes the layout would make the page wait. */
const MOST_PARTS = 420;
const UNDRAWN = "This network could not be drawn. Its layers are in the list of layers all the same.";

function networkPanel(root, bus) {
  const empty = emptyState("Looking who reads whom…");
  const summary = h("p", { class: "pv-quiet" });
  const unfold = h("button", { type: "button", class: "pv-link", "data-testid": "unfold-all", onclick: () => refold(new Set()) }, "Unfold all blocks");
  const again = h("button", { type: "button", class: "pv-link", "data-testid": "fold-again", onclick: () => refold(new Set(drawing.shut)) }, "Fold as before");
  const svg = s("svg", { class: "pv-edges", "aria-hidden": "true" });
  const stage = h("div", { class: "pv-stage", role: "group", "data-testid": "stage" });
  const box = h("div", { class: "pv-network", "data-testid": "network" }, stage);
  const caption = networkCaption(bus);
  const key = (name, text) => h("span", { class: "pv-key" }, h("i", { class: `pv-key-${name}` }), text);
  const legend = h("div", { class: "pv-legend" },
    h("span", null, "In each box: parameters · MACs an example."),
    h("span", { class: "pv-key" }, h("i", { class: "pv-key-goes" }), "share that goes here"),
    h("span", { class: "pv-key" }, h("i", { class: "pv-key-letter" }, "A"), "same letter: channels leave together"),
    key("stays", "cannot be pruned"));
  const body = h("div", { hidden: true },
    h("div", { class: "pv-view-head" }, summary, h("span", { class: "pv-folds" }, unfold, again)),
    box, caption.root, legend);
  root.append(body, empty.root);

  let slice = null;
  let drawing = null;
  let shut = new Set();
  let width = 0;
  let facts = [];
  let cards = []; // [{root, move, fact, p}]
  let stops = []; // what the arrow keys go to, in the order of the flow: [{root, name, x, y}]
  let nodes = []; // by part
  let here = 0; // index into stops: the one that Tab reaches
  let chosen = null; // the layer that the views show
  let fresh = true; // nobody has moved about in it yet
  let pointed = null; // part under the pointer or the focus

  function fail(text) {
    drawing = null;
    empty.set(text);
    setHidden(body, true);
    setHidden(empty.root, false);
  }

  function refold(next, wanted = null) {
    const held = stage.contains(document.activeElement);
    shut = next;
    redraw();
    if (wanted === null && !held) return;
    // The folded block itself, or the first box in the one that was opened.
    focusOn(Math.max(0, stops.findIndex(({ name, folds }) => !folds && (name === wanted || name.startsWith(`${wanted}.`)))));
  }

  function redraw() {
    if (!drawing || !width) return;
    try {
      build();
    } catch (error) {
      console.warn("prunevis:", error);
      fail(UNDRAWN);
    }
  }

  function build() {
    const view = foldDrawing(drawing, shut);
    facts = partFacts(drawing, view);
    const wide = width >= WIDE_FROM;
    const plan = layoutNetwork(drawing, shut, view, facts.map(sizeOfPart), width, wide);
    setAttr(svg, "width", Math.ceil(plan.width));
    setAttr(svg, "height", Math.ceil(plan.height));
    stage.style.width = `${Math.ceil(plan.width)}px`;
    stage.style.height = `${Math.ceil(plan.height)}px`;
    svg.replaceChildren(...plan.paths.map((points, e) => s("g", { "data-edge": view.edges[e].join(" ") },
      s("path", { d: roundPath(points) }), s("path", { class: "pv-arrow", d: arrowAt(points) }))));
    const heads = new Map(); // part -> buttons that fold the blocks that begin with it
    const framed = plan.frames.map((frame) => {
      const fold = frame.first ? foldButton(frame) : null;
      if (fold) heads.set(frame.part, [...(heads.get(frame.part) || []), { root: fold, name: frame.name, folds: true, x: frame.x, y: frame.y }]);
      return h("div", { class: "pv-frame", "data-level": frame.level, style: placeStyle(frame) }, fold);
    });
    cards = [];
    stops = [];
    nodes = facts.map((fact, p) => {
      const size = plan.places[p];
      let node;
      if (fact.layers.length) {
        const card = networkCard(drawing, fact);
        node = card.root;
        cards.push({ ...card, fact, p });
        stops.push(...(heads.get(p) || []), { root: node, name: fact.name, folds: false, x: size.x, y: size.y });
        node.addEventListener("click", () => choose(fact, p));
        node.addEventListener("focus", () => point(p));
        node.addEventListener("blur", () => point(null));
        setAttr(node, "aria-describedby", caption.id);
      } else node = networkSign(fact);
      node.setAttribute("style", placeStyle({ x: size.x - size.w / 2, y: size.y - size.h / 2, w: size.w, h: size.h }));
      node.addEventListener("pointerenter", () => point(p));
      node.addEventListener("pointerleave", () => point(null));
      return node;
    });
    pointed = null;
    here = Math.min(here, stops.length - 1);
    stops.forEach(({ root: node }, n) => node.addEventListener("focus", () => {
      here = n;
      tabStops();
    }));
    stage.replaceChildren(...framed, svg, ...nodes);
    setAttr(stage, "aria-label", `The network, ${plural(cards.length, "box", "boxes")}. Arrow keys go from box to box.`);
    setHidden(unfold, !shut.size);
    const whole = drawing.nodes.length <= MOST_PARTS;
    unfold.disabled = !whole;
    setAttr(unfold, "title", whole ? null : "With so many layers, open the blocks one by one");
    const first = new Set(drawing.shut);
    setHidden(again, first.size === shut.size && drawing.shut.every((name) => shut.has(name)));
    tell();
    mark();
    const current = stops.findIndex(({ root: node }) => node.hasAttribute("data-current"));
    if (fresh && current >= 0) {
      here = current;
      const { x, y } = stops[current];
      box.scrollTo({ left: x - box.clientWidth / 2, top: y - box.clientHeight / 2 });
    }
    fresh = false;
    tabStops();
    if (bus.at) move(bus.at);
  }

  function tell() {
    const layers = drawing.nodes.filter((node) => node.kind === "layer");
    const ties = drawing.groups.filter((group) => group.letter).length;
    const other = drawing.other_macs > 0 ? ` ${scaledText(drawing.other_macs, "count")} MACs lie in products between layers.` : "";
    const idle = drawing.unreached.length ? ` ${plural(drawing.unreached.length, "layer")} never reached by the forward pass ${drawing.unreached.length === 1 ? "is" : "are"} not drawn.` : "";
    setText(summary, `${plural(layers.length, "layer")}; ${ties ? `${plural(ties, "set")} of layers ${ties === 1 ? "has" : "have"} channels that leave together.` : "no layer shares its channels with another."}${other}${idle}`);
  }

  const foldButton = (frame) =>
    h("button", { type: "button", class: "pv-frame-fold", "data-testid": "fold", "data-name": frame.name, title: `Fold ${frame.name}`,
      onclick: () => refold(new Set([...shut, frame.name]), frame.name) },
      unheard("Fold "), shortName(frame.name, Math.max(8, Math.floor(frame.w / 8))), h("span", { "aria-hidden": "true" }, " −"));

  const tabStops = () => stops.forEach(({ root: node }, n) => setAttr(node, "tabindex", n === here ? 0 : -1));

  function focusOn(n) {
    if (!stops[n]) return;
    stops[n].root.focus({ preventScroll: true });
    stops[n].root.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function choose(fact, p) {
    if (fact.folded) refold(new Set([...shut].filter((name) => name !== fact.name)), fact.name);
    else {
      bus.send("layer", { name: fact.name });
      point(p);
    }
  }

  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = stops.findIndex(({ root: node }) => node === event.target);
    if (now < 0) return;
    const wide = width >= WIDE_FROM;
    const along = wide ? { ArrowRight: 1, ArrowLeft: -1 } : { ArrowDown: 1, ArrowUp: -1 };
    let to = { Home: 0, End: stops.length - 1 }[event.key];
    if (along[event.key]) to = now + along[event.key];
    else if (event.key.startsWith("Arrow")) to = beside(now, event.key);
    if (to === undefined) return;
    event.preventDefault();
    focusOn(to);
  });

  /** The nearest stop in a direction, straight ahead before aslant. */
  function beside(now, arrow) {
    const from = stops[now];
    const [dx, dy] = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[arrow];
    let best = undefined;
    let least = Infinity;
    stops.forEach((stop, n) => {
      const x = stop.x - from.x;
      const y = stop.y - from.y;
      const ahead = x * dx + y * dy;
      if (n === now || ahead < 8) return;
      const cost = ahead + 2 * Math.abs(x * dy + y * dx);
      if (cost < least) [best, least] = [n, cost];
    });
    return best;
  }

  function point(p) {
    if (p === pointed) return;
    pointed = p;
    mark();
  }

  /** Scroll the box, and nothing else, until `node` is in it. */
  function reveal(node) {
    const all = box.getBoundingClientRect();
    const one = node.getBoundingClientRect();
    const off = (low, high, from, to) => (low < from ? low - from - 20 : high > to ? high - to + 20 : 0);
    box.scrollBy(off(one.left, one.right, all.left, all.right), off(one.top, one.bottom, all.top, all.bottom));
  }

  /** Show what leaves together with the part under the pointer, or with the chosen layer. */
  function mark() {
    const c = bus.slice("controls");
    const current = facts.findIndex((fact) => fact.layers.some((layer) => layer.name === c.layer));
    const p = pointed === null ? current : pointed;
    const fact = facts[p];
    const ties = new Set(fact ? fact.ties : []);
    // A chosen layer in a folded block speaks for itself, not for its block.
    const inside = pointed === null && fact && fact.folded ? fact.layers.find((layer) => layer.name === c.layer) : null;
    const tied = inside ? new Set([inside.group].filter((g) => ties.has(g))) : ties;
    const rows = new Map((c.layers || []).map((layer) => [layer.name, layer]));
    facts.forEach((other, q) => {
      const mate = tied.size > 0 && q !== p && other.groups.some((g) => tied.has(g));
      setAttr(nodes[q], "data-mate", mate);
      setAttr(nodes[q], "data-source", tied.size > 0 && q === p);
      setAttr(nodes[q], "data-pointed", pointed !== null && tied.size > 0);
      setAttr(nodes[q], "data-current", q === current);
      if (!other.layers.length) return;
      const off = other.layers.every((layer) => rows.has(layer.name) && rows.get(layer.name).disabled);
      setAttr(nodes[q], "data-off", off);
      other.stays = other.layers.every(({ name }) => rows.has(name) && (rows.get(name).disabled || !rows.get(name).ticked));
      setAttr(nodes[q], "data-stays", other.stays);
      if (!other.folded) setAttr(nodes[q], "aria-pressed", q === current ? "true" : "false");
      else setAttr(nodes[q], "aria-expanded", "false");
    });
    if (c.layer !== chosen) {
      chosen = c.layer;
      if (pointed === null && current >= 0) reveal(nodes[current]);
    }
    caption.set(drawing, inside ? { ...fact, folded: false, name: inside.name, layers: [inside], ties: [...tied], groups: [inside.group] } : fact, rows, c.granularity === "unit");
  }

  function move(at) {
    for (const { fact, move: moved } of cards) moved(shareOf(fact, at, fact.stays));
  }

  watchSize(bus, box, (w) => {
    if (Math.abs(w - width) < 2) return;
    width = w;
    redraw();
  });

  bus.watch(["network"], () => {
    const next = bus.slice("network");
    if (next === slice) return;
    slice = next;
    const names = drawing && drawing.blocks.map((block) => block.name).join();
    try {
      drawing = readDrawing(next);
    } catch (error) {
      console.warn("prunevis:", error);
      fail(UNDRAWN);
      return;
    }
    if (!drawing) {
      fail(Array.isArray(next.kind) ? "There is nothing to draw: this network has no layers." : "Looking who reads whom…");
      return;
    }
    if (names !== drawing.blocks.map((block) => block.name).join()) {
      shut = new Set(drawing.shut);
      here = 0;
      fresh = true;
    }
    setHidden(body, false);
    setHidden(empty.root, true);
    redraw();
  }, "network");
  bus.watch(["controls", "table"], () => {
    if (!drawing || !nodes.length) return;
    mark();
    if (bus.at) move(bus.at);
  }, "network");
  bus.onMove((at) => drawing && move(at), { tab: "network", box: root });
}

const placeStyle = ({ x, y, w, h: tall }) => `left:${x.toFixed(1)}px;top:${y.toFixed(1)}px;width:${w.toFixed(1)}px;height:${tall.toFixed(1)}px`;

/** The head of an arrow at the end of a path, pointing along its last piece. */
function arrowAt(points) {
  const [x, y] = points[points.length - 1];
  const [px, py] = [...points].reverse().find(([a, b]) => Math.hypot(a - x, b - y) > 0.5) || [x - 1, y];
  return Math.abs(x - px) >= Math.abs(y - py) ? `M${x} ${y}l-6 -3.5v7z` : `M${x} ${y}l-3.5 -6h7z`;
}
