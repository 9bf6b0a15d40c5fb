// Training on after pruning, or pruning while training: a schedule, what happens while it runs, and
// whether to keep the result.

/** 42 -> "42 s"; 200 -> "3 min" */
const inTime = (seconds) => (!known(seconds) ? UNKNOWN : seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.max(1, Math.round(seconds))} s`);

function resultTable() {
  const row = (label, name) => {
    const cells = ["before", "after", "change"].map((part) => h("td", { class: "pv-number", "data-testid": `${name}-${part}` }));
    return { cells, root: h("tr", null, h("th", { scope: "row" }, label), ...cells) };
  };
  const accuracy = row("Accuracy", "fine-tune");
  const weights = row("Weights not zero", "weights");
  const root = h("table", { class: "pv-table pv-result" },
    h("thead", null, h("tr", null, h("td"), ...["Before", "After", "Change"].map((t) => h("th", { scope: "col", class: "pv-number" }, t)))),
    h("tbody", null, accuracy.root, weights.root));
  return {
    root,
    set(f) {
      const shown = (v) => (known(v) ? `${percent(v)} %` : UNKNOWN);
      setText(accuracy.cells[0], shown(f.before));
      setText(accuracy.cells[1], shown(f.after));
      const gain = known(f.before) && known(f.after) ? f.after - f.before : null;
      setText(accuracy.cells[2], known(gain) ? `${gain > 0 ? "+" : ""}${percent(gain)} points` : UNKNOWN);
      setAttr(accuracy.cells[2], "data-tone", known(gain) ? (gain > 0 ? "better" : gain < 0 ? "loss" : null) : null);
      const counts = f.costs && f.costs.weights;
      setHidden(weights.root, !counts);
      if (!counts) return;
      setText(weights.cells[0], integer(counts[0]));
      setText(weights.cells[1], integer(counts[1]));
      const times = counts[1] ? counts[0] / counts[1] : null;
      setText(weights.cells[2], known(times) ? `${times.toFixed(times < 10 ? 1 : 0)}× fewer` : UNKNOWN);
    },
  };
}

function fineTunePanel(root, bus) {
  const form = fineTuneForm(bus);
  const plan = scheduleCurve(bus, (points, settled) => form.draw(points, settled));
  const note = h("p", { class: "pv-note-line", "data-testid": "fine-tune-note" });
  const fillBar = h("i");
  const bar = h("div", { class: "pv-progress", role: "progressbar", "aria-label": "Fine-tuning", "aria-valuemin": 0, "aria-valuemax": 100 }, fillBar);
  const text = h("p", { class: "pv-quiet", "data-testid": "fine-tune-text" });
  const facts = ["Sparsity so far", "Accuracy", "Step", "Time left"].map((label) => {
    const value = h("dd", { "data-testid": `live-${label.split(" ")[0].toLowerCase()}` });
    return { value, root: h("div", null, h("dt", null, label), value) };
  });
  const live = h("dl", { class: "pv-live-facts" }, ...facts.map((f) => f.root));
  const accuracy = lineChart(bus, "Test accuracy", (v) => `${percent(v, v === 1 ? 0 : 1)} %`);
  const loss = lineChart(bus, "Training loss", (v) => (v < 10 ? v.toFixed(2) : v < 1e4 ? v.toFixed(0) : v.toExponential(0)));
  setAttr(accuracy.root, "data-testid", "saw");
  const charts = h("div", { class: "pv-charts" }, accuracy.root, loss.root);
  const sight = trainingSight(bus);
  const table = resultTable();
  const keep = h("button", { type: "button", class: "pv-button pv-primary", "data-testid": "keep", onclick: () => bus.send("keep") }, "Keep");
  const discard = h("button", { type: "button", class: "pv-button", "data-testid": "discard", onclick: () => bus.send("discard") }, "Discard");
  const decide = h("div", { class: "pv-actions" }, keep, discard, h("span", { class: "pv-quiet" }, "Pruned weights have stayed pruned."));
  root.append(
    h("div", { class: "pv-tune" },
      h("div", null, h("h3", { class: "pv-h" }, "Train, and prune on the way"),
        h("p", { class: "pv-quiet" }, "What is pruned stays pruned; only what is left learns."), form.root),
      h("div", { class: "pv-tune-live" }, note, plan.root, bar, text, live, table.root, decide, charts, sight.root)));

  bus.watch(["fine_tune", "schedule"], () => {
    const f = bus.slice("fine_tune");
    const p = bus.slice("schedule");
    const state = f.state || "off";
    form.set(f, p);
    const underWay = state === "running" || state === "paused";
    const shown = underWay || ["done", "cancelled", "failed"].includes(state);
    setHidden(plan.root, !p.menu || state === "off");
    if (p.menu) plan.set(p, underWay || state === "done" ? f.step || 0 : null, underWay ? f.phase : "", !underWay && state !== "done");
    const quietly = { ready: f.text || "Loss and accuracy appear here while it trains.", off: "Fine-tuning is not possible here.",
      failed: "Training stopped.", cancelled: f.text ? "" : "Cancelled: nothing was changed." }[state];
    setText(note, f.reason || quietly || "");
    setAttr(note, "data-state", state);
    setHidden(note, !note.textContent);
    const progress = known(f.progress) ? Math.min(1, Math.max(0, f.progress)) : 0;
    setHidden(bar, !shown);
    setAttr(bar, "aria-valuenow", Math.round(100 * progress));
    fillBar.style.transform = `scaleX(${progress})`;
    setText(text, shown ? (state === "paused" ? `Paused: ${f.text}` : f.text) : "");
    const steps = f.steps || [];
    const drawn = shown && !!(f.accuracy || []).length;
    setHidden(charts, !drawn);
    setHidden(live, !underWay);
    const newest = steps.length ? steps[steps.length - 1] : 0;
    const end = Math.max(p.steps && underWay ? p.steps : 0, progress > 0.01 ? newest / progress : newest);
    const seen = f.accuracy || [];
    loss.set((f.loss || []).map((v, i) => [steps[i] === undefined ? i : steps[i], v]), end);
    accuracy.set(seen, end, f.before, f.events || []);
    [known(f.sparsity) ? `${percent(f.sparsity)} %` : UNKNOWN, seen.length ? `${percent(seen[seen.length - 1][1])} %` : UNKNOWN,
      `${integer(f.step || 0)}${p.steps ? ` of ${integer(p.steps)}` : ""}`, inTime(f.seconds_left)]
      .forEach((value, i) => setText(facts[i].value, value));
    setHidden(sight.root, !shown || !f.sight);
    sight.set(shown ? f.sight : null);
    setHidden(table.root, !known(f.before) || !shown || state === "failed");
    table.set(f);
    setHidden(decide, !f.can_keep);
  }, "fine_tune");
}
