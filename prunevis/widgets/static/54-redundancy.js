// Which units say the same: similarity by weights and by activations, and the closest pairs.

function pairRow(bus, pair) {
  const unit = (i) => h("button", { type: "button", class: "pv-link", title: `Show unit ${i} under Neurons`,
    onclick: () => {
      bus.send("unit", { unit: i });
      bus.openTab("neurons");
    } }, `unit ${i}`);
  return h("tr", null, h("td", null, unit(pair.a), " and ", unit(pair.b)),
    h("td", { class: "pv-number" }, known(pair.value) ? pair.value.toFixed(2).replace("-", "−") : UNKNOWN));
}

function kindPart(bus) {
  const title = h("h3", { class: "pv-h" });
  const text = h("p", { class: "pv-quiet" });
  const picture = pngImage(bus, "pv-figure");
  const empty = emptyState();
  const body = h("tbody");
  const table = h("table", { class: "pv-table" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Most similar pairs"),
      h("th", { scope: "col", class: "pv-number" }, "similarity"))), body);
  let shown = "";
  return {
    root: h("section", { class: "pv-kind" }, title, picture.root, empty.root, text, table),
    set(kind) {
      setText(title, kind.label);
      picture.set(kind.png, kind.alt);
      setHidden(empty.root, !kind.reason && !!kind.png);
      empty.set(kind.reason || "Comparing the units…");
      setText(text, kind.text);
      const pairs = kind.pairs || [];
      setHidden(table, !pairs.length);
      const next = JSON.stringify(pairs);
      if (next !== shown) body.replaceChildren(...pairs.map((pair) => pairRow(bus, pair)));
      shown = next;
    },
  };
}

function redundancyPanel(root, bus) {
  const title = h("h3", { class: "pv-h", "data-testid": "redundancy-title" });
  const lead = h("p", { class: "pv-quiet" },
    "Blocks off the diagonal are groups of units that react alike. One of a pair can often go, if the other takes over.");
  const box = h("div", { class: "pv-kinds" });
  const empty = emptyState("Comparing the units…");
  root.append(title, lead, box, empty.root);
  const parts = new Map();
  let shown = null;
  bus.watch(["redundancy", "controls"], () => {
    const r = bus.slice("redundancy");
    const kinds = r.kinds || [];
    const layer = bus.slice("controls").layer;
    // Drawn anew for another theme: the last picture stays, faded, until then.
    setAttr(box, "data-stale", !kinds.length && shown === layer);
    if (!kinds.length && shown !== null && shown === layer) return;
    shown = kinds.length ? r.layer : null;
    for (const node of [title, lead, box]) setHidden(node, !kinds.length);
    setHidden(empty.root, kinds.length > 0);
    empty.set(r.reason || "Comparing the units…");
    setText(title, `${r.layer || ""}: which units say the same?`);
    const names = kinds.map((k) => k.name);
    for (const [name, part] of parts) {
      if (!names.includes(name)) {
        part.root.remove();
        parts.delete(name);
      }
    }
    for (const kind of kinds) {
      if (!parts.has(kind.name)) parts.set(kind.name, kindPart(bus));
      const part = parts.get(kind.name);
      if (part.root.parentNode !== box) box.append(part.root);
      part.set(kind);
    }
  }, "redundancy");
}
