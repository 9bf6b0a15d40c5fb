// What to prune and by which rule. Every choice is a message to Python; the slice that comes back
// decides what is shown.

function field(label, ...parts) {
  const id = freshId("label");
  return { id, root: h("div", { class: "pv-field" }, h("div", { class: "pv-label", id }, label), ...parts) };
}

/** "why?": formula and source of the criterion, opened in place. */
function whyPart() {
  const formula = h("code", { class: "pv-formula" });
  const source = h("p", { class: "pv-quiet" });
  const link = h("a", { target: "_blank", rel: "noreferrer noopener" });
  const box = h("div", { class: "pv-why-box", id: freshId("why"), hidden: true }, formula, source, link);
  const button = h("button", { class: "pv-link", type: "button", "aria-expanded": "false",
    "aria-controls": box.id, "data-testid": "why",
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
  const cite = h("span", { class: "pv-cite" });
  const basis = h("p", { class: "pv-quiet", "data-testid": "basis" });
  const caution = h("p", { class: "pv-quiet pv-caution", "data-testid": "caution" });
  const why = whyPart();
  const criterionField = field("Criterion", criterion,
    h("p", { class: "pv-quiet pv-two" }, summary, " ", cite, " ", why.button),
    why.box, basis, caution);
  setAttr(criterion, "aria-labelledby", criterionField.id);

  const scope = segmented("Rank", "scope", (name) => bus.send("scope", { name }));
  const scopeHelp = h("p", { class: "pv-quiet pv-two" });

  const seed = h("input", { type: "number", min: 0, max: 2147483647, step: 1, "data-testid": "seed",
    onchange: () => {
      const value = Math.floor(Number(seed.value));
      if (seed.value !== "" && value >= 0) bus.send("seed", { value });
    } });
  const seedField = field("Seed", seed, h("p", { class: "pv-quiet" }, "The same seed draws the same weights again."));
  setAttr(seed, "aria-labelledby", seedField.id);

  const fields = h("div", { class: "pv-fields" },
    modelField.root,
    field("Remove", granularity.root, granularityHelp).root,
    criterionField.root,
    field("Rank", scope.root, scopeHelp).root,
    seedField.root);
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
    scope.set(c.scopes || [], c.scope);
    setText(scopeHelp, helpOf(c.scopes, c.scope));
    setHidden(seedField.root, !c.seed_shown);
    if (document.activeElement !== seed) seed.value = known(c.seed) ? c.seed : "";
  });
}

/** The help of the chosen option, or why another one cannot be had. */
function helpOf(options, name) {
  const list = options || [];
  const chosen = list.find((o) => o.name === name);
  const off = list.find((o) => o.disabled);
  return [chosen && chosen.help, off && `${off.label}: ${off.disabled}`].filter(Boolean).join(" ");
}
