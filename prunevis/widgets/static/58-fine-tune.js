// Training on after pruning: a short form, what happens while it runs, and whether to keep the result.

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

function fineTuneForm(bus) {
  const epochs = followingInput({ attributes: { type: "number", min: 1, max: 50, step: 1, "data-testid": "epochs" } });
  const rate = followingInput({ attributes: { type: "number", min: 0, step: "any", "data-testid": "learning-rate" } });
  const source = followingInput({ options: true, attributes: { "data-testid": "source" } });
  const start = h("button", { type: "submit", class: "pv-button pv-primary", "data-testid": "fine-tune-start" }, "Start");
  const cancel = h("button", { type: "button", class: "pv-button", "data-testid": "fine-tune-cancel",
    onclick: () => bus.send("cancel", { name: "fine_tune" }) }, "Cancel");
  const part = (label, control, help) => h("label", { class: "pv-form-field" }, h("span", { class: "pv-label" }, label), control,
    h("span", { class: "pv-quiet" }, help));
  const root = h("form", { class: "pv-form", onsubmit: (event) => {
    event.preventDefault();
    bus.send("fine_tune", { epochs: Number(epochs.input.value), learning_rate: Number(rate.input.value), source: source.input.value });
  } },
  part("Epochs", epochs.input, "passes over the training data"),
  part("Learning rate", rate.input, "small: the network is trained already"),
  part("Data", source.input, "what it learns from"),
  h("div", { class: "pv-actions" }, start, cancel));
  return {
    root,
    set(f) {
      const running = f.state === "running";
      setOptions(source.input, f.sources || []);
      epochs.set(f.epochs);
      rate.set(f.learning_rate);
      source.set(f.source);
      for (const { input } of [epochs, rate, source]) input.disabled = running || f.state === "off";
      start.disabled = running || f.state === "off" || f.state === undefined;
      setAttr(start, "title", f.state === "off" ? f.reason : null);
      setText(start, f.state === "done" || f.state === "cancelled" || f.state === "failed" ? "Start again" : "Start");
      setHidden(cancel, !running);
    },
  };
}

function fineTunePanel(root, bus) {
  const form = fineTuneForm(bus);
  const note = h("p", { class: "pv-note-line", "data-testid": "fine-tune-note" });
  const fillBar = h("i");
  const bar = h("div", { class: "pv-progress", role: "progressbar", "aria-label": "Fine-tuning", "aria-valuemin": 0, "aria-valuemax": 100 }, fillBar);
  const text = h("p", { class: "pv-quiet", "data-testid": "fine-tune-text" });
  const loss = lineChart(bus, "Training loss", (v) => (v < 10 ? v.toFixed(2) : v.toFixed(0)));
  const accuracy = lineChart(bus, "Test accuracy", (v) => `${percent(v)} %`);
  const charts = h("div", { class: "pv-charts" }, loss.root, accuracy.root);
  const cells = ["before", "after", "change"].map((name) => h("td", { class: "pv-number", "data-testid": `fine-tune-${name}` }));
  const table = h("table", { class: "pv-table pv-result" },
    h("thead", null, h("tr", null, h("td"), ...["Before", "After", "Change"].map((t) => h("th", { scope: "col", class: "pv-number" }, t)))),
    h("tbody", null, h("tr", null, h("th", { scope: "row" }, "Accuracy"), ...cells)));
  const keep = h("button", { type: "button", class: "pv-button pv-primary", "data-testid": "keep", onclick: () => bus.send("keep") }, "Keep");
  const discard = h("button", { type: "button", class: "pv-button", "data-testid": "discard", onclick: () => bus.send("discard") }, "Discard");
  const decide = h("div", { class: "pv-actions" }, keep, discard, h("span", { class: "pv-quiet" }, "Pruned weights have stayed pruned."));
  root.append(
    h("div", { class: "pv-tune" },
      h("div", null, h("h3", { class: "pv-h" }, "Train on, and see what comes back"),
        h("p", { class: "pv-quiet" }, "What is pruned stays pruned; only what is left learns."), form.root),
      h("div", { class: "pv-tune-live" }, note, bar, text, charts, table, decide)));

  bus.watch(["fine_tune"], () => {
    const f = bus.slice("fine_tune");
    const state = f.state || "off";
    form.set(f);
    const quietly = { ready: "Loss and accuracy appear here while it trains.", off: "Fine-tuning is not possible here.",
      failed: "Training stopped.", cancelled: f.text ? "" : "Cancelled: nothing was changed." }[state];
    setText(note, f.reason || quietly || "");
    setAttr(note, "data-state", state);
    setHidden(note, !note.textContent);
    const live = state === "running" || state === "done" || state === "cancelled" || state === "failed";
    const progress = known(f.progress) ? Math.min(1, Math.max(0, f.progress)) : 0;
    setHidden(bar, !live);
    setAttr(bar, "aria-valuenow", Math.round(100 * progress));
    fillBar.style.transform = `scaleX(${progress})`;
    setText(text, live ? f.text : "");
    const steps = f.steps || [];
    setHidden(charts, !live || !(f.loss || []).length);
    const newest = steps.length ? steps[steps.length - 1] : 0;
    const end = progress > 0.01 ? newest / progress : newest;
    loss.set((f.loss || []).map((v, i) => [steps[i] === undefined ? i : steps[i], v]), end);
    accuracy.set(f.accuracy || [], end, f.before);
    const done = known(f.before) && known(f.after) && !!f.can_keep;
    setHidden(table, !known(f.before) || !live);
    setText(cells[0], known(f.before) ? `${percent(f.before)} %` : UNKNOWN);
    setText(cells[1], known(f.after) ? `${percent(f.after)} %` : UNKNOWN);
    const gain = known(f.before) && known(f.after) ? f.after - f.before : null;
    setText(cells[2], known(gain) ? `${gain > 0 ? "+" : ""}${percent(gain)} points` : UNKNOWN);
    setAttr(cells[2], "data-tone", known(gain) ? (gain > 0 ? "better" : gain < 0 ? "loss" : null) : null);
    setHidden(decide, !done && !f.can_keep);
  }, "fine_tune");
}
