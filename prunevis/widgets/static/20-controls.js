// What to prune and by which rule. Every choice is a message to Python; the slice that comes back
// decides what is shown.

function field(label, ...parts) {
  const id = freshId("label");
  return { id, root: h("div", { class: "pv-field" }, h("div", { class: "pv-label", id }, label), ...parts) };
}

/** "why?": formula and source of the criterion, opened in place. */
function whyPart(testid = "why") {
  const formula = h("code", { class: "pv-formula" });
  const source = h("p", { class: "pv-quiet" });
  const link = h("a", { target: "_blank", rel: "noreferrer noopener" });
  const box = h("div", { class: "pv-why-box", id: freshId("why"), hidden: true }, formula, source, link);
  const button = h("button", { class: "pv-link", type: "button", "aria-expanded": "false",
    "aria-controls": box.id, "data-testid": testid,
    onclick: () => {
      setHidden(box, !box.hidden);
      setAttr(button, "aria-expanded", box.hidden ? "false" : "true");
    } }, "why?");
  return {
    button, box,
    set(criterion) {
      setHidden(button, !(criterion.formula || criterion.source || criterion.url));
      setText(formula, criterion.formula);
      setHidden(formula, !criterion.formula);
      setText(source, criterion.source);
      const safe = /^https?:\/\//.test(criterion.url || "") ? criterion.url : null;
      setHidden(link, !safe);
      setAttr(link, "href", safe);
      setText(link, safe ? safe.replace(/^https?:\/\//, "") : "");
    },
  };
}

/** "More": which weights leave together, in what multiples units do. Folded until somebody asks. */
function morePart(bus) {
  const pattern = h("select", { "data-testid": "pattern", onchange: () => bus.send("pattern", { name: pattern.value }) });
  const patternHelp = h("p", { class: "pv-quiet" });
  const patternField = field("Pattern", pattern, patternHelp);
  const multiple = h("select", { "data-testid": "multiple-of",
    onchange: () => bus.send("multiple_of", { value: Number(multiple.value) }) });
  const multipleField = field("Multiples of", multiple,
    h("p", { class: "pv-quiet" }, "Layers that lose units keep a multiple of this, as hardware likes it."));
  const least = h("input", { type: "number", min: 1, max: 4096, step: 1, "data-testid": "min-units",
    onchange: () => {
      const value = Math.floor(Number(least.value));
      if (least.value !== "" && value >= 1) bus.send("min_units", { value });
    } });
  const leastField = field("At least", least,
    h("p", { class: "pv-quiet" }, "So many units of each layer always stay."));
  const note = h("p", { class: "pv-quiet", "data-testid": "pieces-note" });
  for (const [part, input] of [[patternField, pattern], [multipleField, multiple], [leastField, least]]) {
    setAttr(input, "aria-labelledby", part.id);
  }
  const units = h("div", { class: "pv-more-units" }, multipleField.root, leastField.root);
  const box = h("div", { class: "pv-more-box", id: freshId("more"), hidden: true }, patternField.root, units, note);
  const set = h("span", { class: "pv-quiet" });
  const button = h("button", { class: "pv-link", type: "button", "aria-expanded": "false",
    "aria-controls": box.id, "data-testid": "more",
    onclick: () => {
      setHidden(box, !box.hidden);
      setAttr(button, "aria-expanded", box.hidden ? "false" : "true");
    } }, "More");
  return {
    root: h("div", { class: "pv-field pv-more" }, h("div", { class: "pv-more-line" }, button, set), box),
    set(c) {
      const byUnit = (c.multiples || []).length > 0;
      setHidden(patternField.root, byUnit);
      setHidden(units, !byUnit);
      setOptions(pattern, c.patterns || [], c.pattern);
      setText(patternHelp, c.pattern_help);
      setOptions(multiple, (c.multiples || []).map((n) => ({ name: String(n), label: n === 1 ? "any number" : String(n) })),
        String(c.multiple_of));
      if (document.activeElement !== least) least.value = known(c.min_units) ? c.min_units : 1;
      setText(note, c.pieces_note);
      setHidden(note, !c.pieces_note);
      // Folded, it still says what is not as usual.
      const chosen = byUnit
        ? [c.multiple_of > 1 && `multiples of ${c.multiple_of}`, c.min_units > 1 && `at least ${c.min_units} units`]
        : [c.pattern && `pattern ${(c.patterns.find((p) => p.name === c.pattern) || {}).label || c.pattern}`];
      setText(set, chosen.filter(Boolean).join(", ") || (byUnit ? "multiples, least units" : "patterns"));
    },
  };
}

function controlsPanel(root, bus) {
  const pick = (action) => (event) => bus.send(action, { name: event.target.value });

  const modelSelect = h("select", { "data-testid": "model", onchange: pick("model") });
  const modelNote = h("p", { class: "pv-quiet" });
  const ownModel = h("div", { class: "pv-own-model" });
  const modelField = field("Model", modelSelect, ownModel, modelNote);
  setAttr(modelSelect, "aria-labelledby", modelField.id);

  const granularity = segmented("Remove", "granularity", (name) => bus.send("granularity", { name }));
  const granularityHelp = h("p", { class: "pv-quiet pv-two" });

  const criterion = h("select", { "data-testid": "criterion", onchange: pick("criterion") });
  const summary = h("span");
  const cite = h("span");
  const basis = h("p", { class: "pv-quiet", "data-testid": "basis" });
  const caution = h("p", { class: "pv-quiet pv-caution", "data-testid": "caution" });
  const why = whyPart();
  const criterionField = field("Criterion", criterion,
    h("p", { class: "pv-quiet pv-two" }, summary, " ", cite, " ", why.button),
    why.box, basis, caution);
  setAttr(criterion, "aria-labelledby", criterionField.id);

  const scope = segmented("Rank", "scope", (name) => bus.send("scope", { name }));
  const scopeHelp = h("p", { class: "pv-quiet pv-two" });

  const repair = h("select", { "data-testid": "repair", onchange: pick("repair") });
  const repairSummary = h("span");
  const repairWhy = whyPart("repair-why");
  const repairNotes = h("ul", { class: "pv-quiet pv-repair-notes", "data-testid": "repair-notes" });
  const repairField = field("Repair, without training", repair,
    h("p", { class: "pv-quiet pv-two" }, repairSummary, " ", repairWhy.button), repairWhy.box, repairNotes);
  setAttr(repair, "aria-labelledby", repairField.id);

  const seed = h("input", { type: "number", min: 0, max: 2147483647, step: 1, "data-testid": "seed",
    onchange: () => {
      const value = Math.floor(Number(seed.value));
      if (seed.value !== "" && value >= 0) bus.send("seed", { value });
    } });
  const seedField = field("Seed", seed, h("p", { class: "pv-quiet" }, "The same seed draws the same weights again."));
  setAttr(seed, "aria-labelledby", seedField.id);

  const more = morePart(bus);
  const fields = h("div", { class: "pv-fields" },
    modelField.root,
    field("Remove", granularity.root, granularityHelp).root,
    criterionField.root,
    repairField.root,
    field("Rank", scope.root, scopeHelp).root,
    seedField.root, more.root);
  const skeleton = h("div", { class: "pv-skeletons", "aria-hidden": "true" },
    ...[1, 2, 3, 4].map(() => h("div", { class: "pv-skeleton pv-skeleton-field" })));
  root.append(skeleton, fields);
  layersTable(root, bus);

  bus.watch(["controls"], () => {
    const c = bus.slice("controls");
    const ready = Array.isArray(c.layers);
    setHidden(skeleton, ready);
    setHidden(fields, !ready);
    if (!ready) return;
    const models = c.models || [];
    setHidden(modelSelect, !models.length);
    setHidden(ownModel, models.length > 0);
    if (models.length) setOptions(modelSelect, models.map(({ name, label }) => ({ name, label })), c.model);
    else setText(ownModel, c.model || "Your network");
    const chosen = models.find((m) => m.name === c.model);
    setText(modelNote, chosen ? chosen.detail : "");
    setHidden(modelNote, !chosen || !chosen.detail);

    granularity.set(c.granularities || [], c.granularity);
    setText(granularityHelp, helpOf(c.granularities, c.granularity));
    setOptions(criterion, (c.criteria || []).map(({ name, label, summary, group, disabled }) =>
      ({ name, label, group, disabled, detail: summary })), c.criterion);
    const rule = (c.criteria || []).find((x) => x.name === c.criterion) || {};
    setText(summary, rule.summary);
    setText(cite, rule.source ? `${rule.source.replace(/\.$/, "")}.` : "");
    setText(basis, c.basis);
    setHidden(basis, !c.basis);
    setText(caution, c.caution);
    setHidden(caution, !c.caution);
    why.set(rule);
    const repairs = c.repairs || [];
    setOptions(repair, repairs.map(({ name, label, disabled }) => ({ name, label, disabled })), c.repair);
    const mend = repairs.find((x) => x.name === c.repair) || {};
    setText(repairSummary, mend.summary);
    repairWhy.set(mend);
    showNotes(repairNotes, c.repair_notes || []);
    scope.set(c.scopes || [], c.scope);
    setText(scopeHelp, helpOf(c.scopes, c.scope));
    setHidden(seedField.root, !c.seed_shown);
    more.set(c);
    if (document.activeElement !== seed) seed.value = known(c.seed) ? c.seed : "";
  });
}

/** What the repair leaves only deleted, and why: the first reasons, and how many more. */
function showNotes(list, notes) {
  const most = 3;
  const lines = notes.slice(0, most);
  if (notes.length > most) lines.push(`And ${notes.length - most} more.`);
  if (list.dataset.shown === lines.join("\n")) return;
  list.dataset.shown = lines.join("\n");
  list.replaceChildren(...lines.map((line) => h("li", null, line)));
  setHidden(list, !lines.length);
}

/** The help of the chosen option, or why another one cannot be had. */
function helpOf(options, name) {
  const list = options || [];
  const chosen = list.find((o) => o.name === name);
  const off = list.find((o) => o.disabled);
  return [chosen && chosen.help, off && `${off.label}: ${off.disabled}`].filter(Boolean).join(" ");
}
