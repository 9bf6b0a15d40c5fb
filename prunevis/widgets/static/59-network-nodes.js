// The nodes of the drawn network: cards for layers and folded blocks, small signs where paths meet.

const NODE_SIZES = { card: { w: 134, h: 76 }, join: { w: 24, h: 24 }, end: { w: 62, h: 36 } };
const JOINS = {
  addition: ["+", "Addition: its channels are added one to one, so they leave together"],
  multiplication: ["×", "Multiplication: its channels are multiplied one to one, so they leave together"],
  concatenation: ["⊔", "Concatenation: channels lie side by side, so each may leave alone"],
  join: ["·", "Several paths meet here"],
};

/** The end of a dotted name that fits, after whole dots where possible. */
function shortName(name, most) {
  if (name.length <= most) return name;
  const parts = name.split(".");
  let tail = parts.pop();
  while (parts.length && tail.length + parts[parts.length - 1].length + 2 <= most) tail = `${parts.pop()}.${tail}`;
  return tail.length + 1 <= most ? `…${tail}` : `…${tail.slice(-(most - 1))}`;
}

/** What a part stands for: its layers, sizes and the channel groups in it. */
function partFacts(drawing, view) {
  const where = new Map(); // group -> parts that have layers of it
  const facts = view.parts.map((part, p) => {
    const nodes = part.members.map((i) => drawing.nodes[i]);
    const layers = nodes.filter((node) => node.kind === "layer");
    const folded = part.block >= 0;
    const sum = (key) => layers.reduce((total, node) => total + node[key], 0);
    const groups = [...new Set(nodes.map((node) => node.group).filter((g) => g >= 0))];
    for (const g of new Set(layers.map((node) => node.group))) {
      if (!where.has(g)) where.set(g, []);
      where.get(g).push(p);
    }
    return {
      folded, layers, groups,
      kind: folded ? "block" : nodes[0].kind,
      name: folded ? drawing.blocks[part.block].name : nodes[0].name,
      what: folded ? plural(layers.length, "layer") : nodes[0].what,
      place: folded ? "" : nodes[0].place,
      units: sum("units"), params: sum("params"), macs: sum("macs"),
    };
  });
  // The ties of a part: groups of several layers, and of those of a block only what reaches outside.
  for (const fact of facts) {
    fact.ties = fact.groups.filter((g) => drawing.groups[g].letter && (!fact.folded || (where.get(g) || []).length > 1));
  }
  const turns = new Set(view.again.flat());
  facts.forEach((fact, p) => (fact.again = turns.has(p)));
  return facts;
}

const sizeOfPart = (fact) =>
  fact.kind === "input" || fact.kind === "output" ? NODE_SIZES.end : JOINS[fact.kind] ? NODE_SIZES.join : NODE_SIZES.card;

const unheard = (text) => h("span", { class: "pv-sr" }, text);

/** A layer or a folded block, as a button. */
function networkCard(drawing, fact) {
  const bar = h("i");
  const goes = h("span", { class: "pv-node-goes" });
  const letters = fact.ties.map((g) => drawing.groups[g].letter);
  const shown = letters.length > 3 ? [...letters.slice(0, 2), "…"] : letters;
  const tags = h("span", { class: "pv-node-tags", "aria-hidden": "true" }, shown.map((letter) => h("b", null, letter)));
  const name = fact.name || "the model";
  const root = h("button", { type: "button", class: "pv-node", "data-kind": fact.kind, "data-testid": "node", "data-name": fact.name,
    tabindex: -1,
    title: `${name}: ${integer(fact.params)} parameters, ${integer(fact.macs)} MACs` },
    h("span", { class: "pv-node-name" }, unheard(name), h("span", { "aria-hidden": "true" }, shortName(name, 16))),
    tags,
    h("span", { class: "pv-node-what" },
      unheard(fact.folded ? ", folded block of " : ", "), fact.what,
      fact.folded ? null : h("span", { "aria-hidden": "true" }, ` → ${integer(fact.units)}`),
      fact.folded ? null : unheard(` with ${plural(fact.units, "unit")}`),
      fact.again ? h("span", { title: "Runs several times, or before something that it reads" }, " ↺") : null),
    h("span", { class: "pv-node-size" },
      scaledText(fact.params, "count"), unheard(" parameters"), " · ", scaledText(fact.macs, "count"), " MACs"),
    h("span", { class: "pv-node-foot" }, h("span", { class: "pv-node-bar", "aria-hidden": "true" }, bar), goes, unheard(" goes"),
      letters.length ? unheard(`, tie ${letters.join(", ")}`) : null));
  let last;
  return {
    root,
    move(share_) {
      if (share_ === last) return;
      last = share_;
      bar.style.transform = `scaleX(${share_ || 0})`;
      setText(goes, share_ === null ? "stays" : `${share(share_)} %`);
    },
  };
}

/** Input, output, or the sign of a join. */
function networkSign(fact) {
  if (JOINS[fact.kind]) {
    const [sign, title] = JOINS[fact.kind];
    const where = fact.place ? `, in ${fact.place}` : "";
    return h("span", { class: "pv-node pv-node-join", "data-kind": fact.kind, "data-testid": "join", title: title + where, "aria-hidden": "true" }, sign);
  }
  return h("span", { class: "pv-node pv-node-end", "data-kind": fact.kind, "data-testid": "end" },
    h("span", null, fact.kind), h("span", { class: "pv-quiet" }, fact.what.replaceAll(" ", "")));
}

/** The share of a part that goes: of its weights, or of its units; null if none of it may. */
function shareOf(fact, at, stays) {
  const removed = (at.table && at.table.layers) || {};
  const key = at.byUnit ? "units" : "weights";
  let gone = 0;
  let all = 0;
  let any = false;
  for (const layer of fact.layers) {
    const shares = removed[layer.name];
    all += layer[key];
    if (!shares || !known(shares[at.k])) continue;
    any = true;
    gone += layer[key] * shares[at.k];
  }
  return any ? gone / Math.max(1, all) : stays ? null : 0;
}

/** Text with names in backticks, or @ and a node's index, as nodes; the names set off. */
const withNames = (text, nodes) =>
  String(text || "").split(/`([^`]*)`/).map((part, i) => {
    if (i % 2 === 0) return part;
    const node = /^@\d+$/.test(part) ? nodes[part.slice(1)] : null;
    return h("b", null, node ? node.name : part);
  });
