// The form of a training: which schedule, its knobs, what it learns from, and the rest behind a fold.

/** Form fields that follow Python only when Python's value changes, never under a typing hand. */
function followingInput(props) {
  const input = h(props.options ? "select" : "input", props.attributes);
  let last;
  return {
    input,
    set(value) {
      if (value === undefined || value === null || value === last) return;
      last = value;
      input.value = value;
    },
  };
}

/** "rate-rewinding" -> "Rate rewinding", "sgd" -> "SGD" */
const spelled = (word) => (word === "sgd" ? "SGD" : plainly(word));
const plainly = (word) => word.charAt(0).toUpperCase() + word.slice(1).replace(/[-_]/g, " ");

/** One knob as a labelled field; `changed()` when a person has set it. */
function knobField(knob, testid, changed) {
  if (knob.kind === "flag") {
    const input = h("input", { type: "checkbox", "data-testid": testid, onchange: changed });
    return {
      input, root: h("label", { class: "pv-form-check" }, input, h("span", null, knob.label)),
      value: () => input.checked, set: (value) => (input.checked = !!value),
    };
  }
  const number = knob.kind === "number";
  const attributes = { "data-testid": testid, onchange: changed };
  if (number) {
    Object.assign(attributes, { type: "number", step: knob.whole ? 1 : "any", min: knob.least, max: knob.most, oninput: changed });
  }
  const part = followingInput({ options: !number, attributes });
  if (!number) setOptions(part.input, knob.choices.map((name) => ({ name, label: spelled(name) })));
  return {
    input: part.input,
    root: h("label", { class: "pv-form-field" }, h("span", { class: "pv-label" }, knob.label), part.input),
    value: () => (number ? (part.input.value === "" ? null : Number(part.input.value)) : part.input.value),
    set: part.set,
  };
}

/** A set of knobs that is built anew only when other ones come. */
function knobFields(testid, changed) {
  const root = h("div", { class: "pv-knobs" });
  let signature = null;
  let fields = [];
  return {
    root,
    set(owner, knobs) {
      const next = owner + knobs.map((k) => k.name).join();
      if (next !== signature) {
        signature = next;
        fields = knobs.map((k) => ({ name: k.name, ...knobField(k, testid(k.name), changed) }));
        root.replaceChildren(...fields.map((f) => f.root));
      }
      knobs.forEach((k, i) => fields[i].set(k.value));
    },
    values: () => Object.fromEntries(fields.map((f) => [f.name, f.value()])),
    allow: (on) => fields.forEach((f) => (f.input.disabled = !on)),
  };
}

function fineTuneForm(bus) {
  let points = null;
  let timer = null;
  const menu = followingInput({ options: true, attributes: { "data-testid": "schedule", onchange: () => bus.send("draft", { schedule: menu.input.value }) } });
  const about = h("p", { class: "pv-quiet", "data-testid": "schedule-about" });
  let advised = {};
  const follow = h("button", { type: "button", class: "pv-link", "data-testid": "follow-advice",
    onclick: () => Object.entries(advised).forEach(([action, name]) => bus.send(action, { name })) }, "Choose that");
  const knobs = knobFields((name) => (name === "epochs" ? "epochs" : `knob-${name}`), changed);
  const more = knobFields((name) => `more-${name}`, changed);
  const rate = followingInput({ attributes: { type: "number", min: 0, step: "any", "data-testid": "learning-rate", oninput: changed } });
  const source = followingInput({ options: true, attributes: { "data-testid": "source", onchange: changed } });
  const start = h("button", { type: "submit", class: "pv-button pv-primary", "data-testid": "fine-tune-start" }, "Start");
  const pause = h("button", { type: "button", class: "pv-button", "data-testid": "fine-tune-pause",
    onclick: () => bus.send(pause.dataset.paused === "true" ? "go_on" : "pause") }, "Pause");
  const cancel = h("button", { type: "button", class: "pv-button", "data-testid": "fine-tune-cancel",
    onclick: () => bus.send("cancel", { name: "fine_tune" }) }, "Cancel");
  const refusal = h("p", { class: "pv-refusal", role: "status", "data-testid": "schedule-refusal" });
  const part = (label, control, help) => h("label", { class: "pv-form-field" }, h("span", { class: "pv-label" }, label), control,
    help ? h("span", { class: "pv-quiet" }, help) : null);

  function filled() {
    const values = knobs.values();
    if (points) values.points = points;
    return { schedule: menu.input.value, knobs: values, epochs: values.epochs, learning_rate: Number(rate.input.value),
      source: source.input.value, more: more.values() };
  }
  function changed() {
    // A typed number passes through others: the curve follows a moment after the last key.
    clearTimeout(timer);
    timer = setTimeout(draft, 80);
  }
  function draft() {
    clearTimeout(timer);
    timer = null;
    bus.send("draft", filled());
  }
  bus.cleanup(() => clearTimeout(timer));

  const fold = h("details", { class: "pv-fold", "data-testid": "fine-tune-more" }, h("summary", null, "More"), more.root);
  const root = h("form", { class: "pv-form", novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    clearTimeout(timer);
    bus.send("fine_tune", filled());
  } },
  part("Schedule", menu.input), about, knobs.root,
  part("Learning rate", rate.input, "small: the network is trained already"),
  part("Data", source.input, "what it learns from"), fold, refusal,
  h("div", { class: "pv-actions" }, start, pause, cancel));
  return {
    root,
    /** The points of a drawn schedule, as a hand has just put them. */
    draw(next, settled) {
      points = next;
      if (settled) draft();
    },
    set(f, plan) {
      const underWay = f.state === "running" || f.state === "paused";
      const free = !underWay && f.state !== "off" && !!f.state && !!plan.menu;
      setOptions(source.input, f.sources || []);
      rate.set(f.learning_rate);
      source.set(f.source);
      if (plan.menu) {
        setOptions(menu.input, plan.menu);
        menu.set(plan.name);
        const link = plan.url ? h("a", { href: plan.url, target: "_blank", rel: "noopener noreferrer" }, plan.source) : null;
        about.replaceChildren(tr(plan.summary), ...(link ? [` ${tr("Source:")} `, link, "."] : []),
          ...(plan.advice ? [` ${tr(plan.advice)} `, ...(free ? [follow] : [])] : []));
        advised = plan.advised || {};
        knobs.set(plan.name, plan.knobs);
        more.set("more", plan.more);
        points = plan.points;
      }
      knobs.allow(free);
      more.allow(free);
      for (const { input } of [menu, rate, source]) input.disabled = !free;
      setText(refusal, free && plan.refusal ? plan.refusal : "");
      setHidden(refusal, !refusal.textContent);
      // What is refused is said above; Start stays, and whoever presses it is told why not.
      start.disabled = !free;
      setAttr(start, "title", f.state === "off" ? f.reason : null);
      setText(start, ["done", "cancelled", "failed"].includes(f.state) ? "Start again" : "Start");
      setHidden(pause, !underWay);
      setText(pause, f.state === "paused" ? "Go on" : "Pause");
      setAttr(pause, "data-paused", f.state === "paused" ? "true" : "false");
      setHidden(cancel, !underWay);
    },
  };
}
