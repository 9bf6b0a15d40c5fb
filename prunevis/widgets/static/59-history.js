// The history: the tree of steps, what can be done with the one that is picked, and two side by side.

function stepPart(bus) {
  const title = h("h3", { class: "pv-h", "data-testid": "step-title" });
  const what = h("p", { class: "pv-quiet" });
  const facts = h("dl", { class: "pv-step-facts", "data-testid": "step-facts" });
  const go = h("button", { type: "button", class: "pv-button pv-primary", "data-testid": "step-go", onclick: () => bus.send("go", { stage: node.number }) }, "Go here");
  const forget = h("button", { type: "button", class: "pv-button", "data-testid": "step-forget", onclick: () => bus.send("forget", { stage: node.number }) });
  const name = h("input", { type: "text", "data-testid": "step-name", autocomplete: "off", spellcheck: "false" });
  const give = h("button", { type: "submit", class: "pv-button", "data-testid": "step-name-save" }, "Name it");
  const naming = h("form", { class: "pv-step-form", onsubmit: (event) => {
    event.preventDefault();
    bus.send("name", { stage: node.number, text: name.value });
  } }, h("label", { class: "pv-form-field" }, h("span", { class: "pv-label" }, "Name"), name), give);
  const other = h("select", { "data-testid": "compare-with" });
  const compare = h("button", { type: "submit", class: "pv-button", "data-testid": "compare-start" }, "Compare");
  const comparing = h("form", { class: "pv-step-form", onsubmit: (event) => {
    event.preventDefault();
    bus.send("compare", { a: Number(other.value), b: node.number });
  } }, h("label", { class: "pv-form-field" }, h("span", { class: "pv-label" }, "Compare with"), other), compare);
  const root = h("section", { class: "pv-step-detail", "data-testid": "step-detail", "aria-label": "The step that is picked" },
    h("div", null, title, what, facts),
    h("div", { class: "pv-step-do" }, h("div", { class: "pv-actions" }, go, forget), naming, comparing));
  let node = { number: 0 };
  let before = null;
  return {
    root,
    set(next, nodes, longest) {
      const another = node.number !== next.number;
      // What is being typed is not taken away by news of the same step.
      if (another || name.value === node.name) name.value = next.name;
      node = next;
      if (longest) name.maxLength = longest;
      setText(title, stepName(node));
      setText(what, node.name ? node.text : "");
      setHidden(what, !node.name);
      const rows = [["Right", known(node.accuracy) ? `${percent(node.accuracy, 2)} %` : "measuring…"],
        ["Parameters left", integer(node.params)], ["File", scaledText(node.bytes, "bytes")], ["MACs, zeros skipped", scaledText(node.macs, "count")],
        ["Repair", node.repair], ["Trained", node.tuned]].filter(([, value]) => value);
      facts.replaceChildren(...rows.map(([label, value]) => h("div", null, h("dt", null, label), h("dd", null, value))));
      go.disabled = node.present;
      setText(go, node.present ? "You are here" : "Go here");
      forget.disabled = node.parent === null || node.on_path;
      setText(forget, node.came_of_it > 1 && !forget.disabled ? `Forget these ${node.came_of_it} steps` : "Forget");
      setAttr(forget, "title", node.parent === null ? "The network as it came stays"
        : node.on_path ? "It leads to the present network: go to a step before it first" : "Drop it and all that came of it; its memory is given back");
      const others = nodes.filter((n) => n.number !== node.number);
      setOptions(other, others.map((n) => ({ name: String(n.number), label: stepName(n) })));
      const usual = others.find((n) => n.number === node.parent) || others.find((n) => n.present) || others[0];
      const kept = !another && others.some((n) => String(n.number) === before);
      if (usual) other.value = kept ? before : String(usual.number);
      before = other.value;
      other.onchange = () => (before = other.value);
    },
  };
}

function historyPanel(root, bus) {
  let picked = null;
  let present = null;
  const steps = stepTree((number) => {
    picked = number;
    draw();
  });
  const detail = stepPart(bus);
  const compare = comparePart(bus);
  const note = h("p", { class: "pv-quiet", "data-testid": "history-note" });
  const legend = h("p", { class: "pv-quiet pv-step-legend" },
    "A solid line leads to the present network; a dashed one to steps that were left. Apply at any step and a branch begins.");
  const body = h("div", { class: "pv-history" }, steps.root, legend, note, detail.root, compare.root);
  const empty = emptyState("Opening the network…");
  setAttr(empty.root, "data-testid", "history-empty");
  root.append(empty.root, body);
  const draw = () => {
    const view = bus.slice("history");
    const nodes = Array.isArray(view.nodes) ? view.nodes : [];
    const some = nodes.length > 1;
    setHidden(body, !some);
    setHidden(empty.root, some);
    empty.set(nodes.length ? "Nothing is applied yet: move the slider and press Apply; each step then appears here." : "Opening the network…");
    if (!some) return;
    const now = nodes.find((n) => n.present) || nodes[0];
    // Another step has become the present one: that is what a person looks at next.
    const moved = present !== now.number;
    if (moved || !nodes.some((n) => n.number === picked)) picked = now.number;
    present = now.number;
    steps.set(nodes, picked);
    if (moved) steps.reveal(picked);
    detail.set(nodes.find((n) => n.number === picked), nodes, view.longest_name);
    setText(note, view.text);
    setHidden(note, !view.text);
    compare.set(view.comparison || {});
  };
  bus.watch(["history"], draw, "history");
}
