// The table of layers: a tick, the name (which picks the layer for the views), its size, and how much
// of it goes at the slider's position. Rows are made once; a move only touches bars and numbers.

function layerRow(bus, name) {
  const tick = h("input", { type: "checkbox", "data-testid": "tick",
    onchange: () => bus.send("tick", { layer: name, on: tick.checked }) });
  // A dotted name may break after its dots; its text stays whole.
  const label = h("span", null, ...name.split(/(?<=\.)/).flatMap((part, i) => (i ? [h("wbr"), part] : [part])));
  const pick = h("button", { type: "button", class: "pv-layer-name", "data-long": name.length > 14, "data-testid": "layer-name",
    onclick: () => bus.send("layer", { name }) }, label);
  const kind = h("div", { class: "pv-quiet pv-kind-line" });
  const also = h("div", { class: "pv-quiet pv-ellipsis pv-together" });
  const reason = h("div", { class: "pv-reason", tabindex: "0" });
  const params = h("div", { class: "pv-number" });
  const part = h("div", { class: "pv-quiet pv-number" });
  const fillBar = h("i");
  const bar = h("div", { class: "pv-bar", "aria-hidden": "true" }, fillBar);
  const goes = h("span");
  const goesButton = h("button", { type: "button", class: "pv-goes", "data-testid": "own-edit" }, goes);
  const own = h("input", { type: "number", class: "pv-own", min: 0, max: 99.9, step: 0.1, hidden: true,
    "data-testid": "own", placeholder: "auto", inputmode: "decimal" });
  const clear = h("button", { type: "button", class: "pv-icon pv-clear", hidden: true, "data-testid": "own-clear",
    onclick: () => bus.send("own", { layer: name, value: null }) }, "×");
  const tag = h("span", { class: "pv-quiet" });
  const root = h("tr", { "data-testid": "layer-row", "data-layer": name },
    h("td", { class: "pv-td-tick" }, h("label", { class: "pv-hit" }, tick)),
    h("th", { scope: "row" }, pick, kind, also, reason),
    h("td", { class: "pv-td-params" }, params, part),
    h("td", { class: "pv-td-goes" }, bar, h("div", { class: "pv-goes-line" }, goesButton, own, clear, tag)));

  let info = {};
  const edit = (on) => {
    setHidden(own, !on);
    setHidden(goesButton, on);
    setHidden(clear, on || !known(info.own));
    if (on) {
      own.value = known(info.own) ? Number((100 * info.own).toFixed(1)) : "";
      own.focus();
      own.select();
    }
  };
  const commit = () => {
    if (own.hidden) return;
    const text = own.value.trim();
    const value = text === "" ? null : Math.min(Math.max(Number(text) / 100, 0), 0.999);
    edit(false);
    const before = known(info.own) ? info.own : null;
    if (value !== before && (value === null || known(value))) bus.send("own", { layer: name, value });
  };
  goesButton.addEventListener("click", () => edit(true));
  own.addEventListener("blur", commit);
  own.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault(); // or the button, focused next, takes this key for a click
      commit();
      goesButton.focus();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      own.value = known(info.own) ? Number((100 * info.own).toFixed(1)) : "";
      edit(false);
      goesButton.focus();
    }
  });

  let lastShare = null;
  return {
    root,
    set(layer, current) {
      info = layer;
      const off = !!layer.disabled;
      tick.checked = !!layer.ticked && !off;
      tick.disabled = off;
      setAttr(tick, "aria-label", `Prune ${name}`);
      setAttr(pick, "title", `Show ${name} in the views`);
      setAttr(pick, "aria-pressed", current ? "true" : "false");
      setText(kind, [layer.kind, layer.shape].filter(Boolean).join(" "));
      const tied = (layer.together || []).filter((other) => other !== name);
      const partners = tied.length ? `leaves with ${tied.join(", ")}` : "";
      setText(also, partners);
      setAttr(also, "title", partners || null);
      setHidden(also, !tied.length);
      setText(reason, layer.disabled);
      setAttr(reason, "title", layer.disabled);
      setHidden(reason, !off);
      setText(params, layer.params > 0 ? integer(layer.params) : "");
      setText(part, layer.share > 0 ? `${share(layer.share)} %` : "");
      setAttr(root, "data-off", off);
      setAttr(root, "data-current", current);
      setAttr(root, "data-ticked", tick.checked);
      setAttr(root, "data-own", known(layer.own));
      setAttr(own, "aria-label", `Own sparsity of ${name} in percent; empty follows the slider`);
      setAttr(clear, "aria-label", `Let ${name} follow the slider again`);
      setAttr(clear, "title", `Let ${name} follow the slider again`);
      setText(tag, layer.is_output ? "output" : known(layer.own) ? "own" : "");
      setHidden(tag, !tag.textContent);
      const editing = !own.hidden;
      setHidden(clear, editing || !known(layer.own));
      setHidden(goesButton, editing || !tick.checked);
      lastShare = null;
    },
    move(removed) {
      if (removed === lastShare) return;
      lastShare = removed;
      fillBar.style.transform = `scaleX(${removed})`;
      setText(goes, `${share(removed)} %`);
      setAttr(goesButton, "aria-label", `${name}: ${share(removed)} percent goes. Set its own value`);
      setAttr(goesButton, "title", "Set this layer's own sparsity");
    },
  };
}

function layersTable(root, bus) {
  const body = h("tbody");
  const heading = h("div", { class: "pv-label", id: freshId("layers") }, "Layers");
  const box = h("div", { class: "pv-layers-scroll", tabindex: "0", role: "region", "aria-labelledby": heading.id },
    h("table", { class: "pv-layers" },
      h("thead", null, h("tr", null,
        h("th", { scope: "col" }, h("span", { class: "pv-sr" }, "Prune")),
        h("th", { scope: "col" }, "Layer"),
        h("th", { scope: "col", class: "pv-td-params" }, "Parameters"),
        h("th", { scope: "col" }, "Goes"))),
      body));
  const count = h("span", { class: "pv-quiet" });
  const part = h("div", { class: "pv-field pv-layers-field", hidden: true },
    h("div", { class: "pv-label-line" }, heading, count), box);
  root.append(part);

  let rows = new Map();
  let signature = "";
  bus.watch(["controls"], () => {
    const c = bus.slice("controls");
    const layers = c.layers || [];
    setHidden(part, !layers.length);
    const next = JSON.stringify(layers.map((l) => l.name));
    if (next !== signature) {
      signature = next;
      rows = new Map(layers.map((l) => [l.name, layerRow(bus, l.name)]));
      body.replaceChildren(...[...rows.values()].map((row) => row.root));
    }
    let on = 0;
    for (const layer of layers) {
      rows.get(layer.name).set(layer, layer.name === c.layer);
      if (layer.ticked && !layer.disabled) on++;
    }
    setText(count, `${on} of ${layers.length} ticked`);
  });
  bus.onMove((at) => {
    const removed = (at.table && at.table.layers) || {};
    for (const [name, row] of rows) {
      const shares = removed[name];
      row.move(shares && known(shares[at.k]) ? shares[at.k] : 0);
    }
  }, { later: true, box: part });
}
