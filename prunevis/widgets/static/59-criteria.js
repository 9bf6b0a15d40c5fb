// How good a criterion is: held against the oracle, whose cost is told before it starts, and raced.

/** A bar and a line of text for a job that takes its time; Cancel is beside it. */
function jobPart(bus, label, name) {
  const fillBar = h("i");
  const bar = h("div", { class: "pv-progress", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, fillBar);
  const doing = h("p", { class: "pv-quiet", "data-testid": `${name}-doing` });
  const note = h("p", { class: "pv-note-line", "data-testid": `${name}-note` });
  const cancel = h("button", { type: "button", class: "pv-button", "data-testid": `${name}-cancel`,
    onclick: () => bus.send("cancel", { name }) }, "Cancel");
  return {
    cancel,
    root: h("div", { class: "pv-job", "data-testid": `${name}-job` }, bar, doing, note),
    set(job) {
      const running = job.state === "running";
      setHidden(bar, !running);
      setHidden(doing, !running);
      setHidden(cancel, !running);
      setAttr(bar, "aria-valuenow", Math.round(100 * (job.progress || 0)));
      fillBar.style.transform = `scaleX(${job.progress || 0})`;
      setText(doing, running ? job.doing : "");
      const said = job.state === "failed" ? `It failed. ${job.doing}` : job.state === "cancelled" ? "Cancelled. Nothing was changed." : "";
      setText(note, said);
      setAttr(note, "data-state", job.state);
      setHidden(note, !said);
      return running;
    },
  };
}

function oraclePart(bus) {
  const images = h("select", { "data-testid": "oracle-images", onchange: () => price() });
  const cost = h("p", { class: "pv-quiet pv-cost", "data-testid": "oracle-cost" });
  const start = h("button", { type: "button", class: "pv-button pv-primary", "data-testid": "agreement-start",
    onclick: () => bus.send("agreement", { images: Number(images.value) }) });
  const notFollowed = h("p", { class: "pv-quiet", "data-testid": "agreement-not-followed" });
  const job = jobPart(bus, "Measuring criteria against the oracle", "agreement");
  const empty = emptyState("Each unit is taken out once, and the loss measured. A table then says which criterion would have known.");
  const pictures = new Map(["summary", "layers"].map((name) => [name, pngImage(bus, "pv-figure")]));
  const text = h("p", { class: "pv-quiet", "data-testid": "agreement-text" });
  let costs = [];
  const price = () => {
    const chosen = costs.find((c) => String(c.images) === images.value);
    setText(cost, chosen ? `${chosen.text}.` : "Finding out what that takes…");
  };
  const pick = h("label", { class: "pv-form-field" }, h("span", { class: "pv-label" }, "Training images"), images);
  const root = h("section", { class: "pv-kind" }, h("h3", { class: "pv-h" }, "Which criterion knows what matters?"),
    h("p", { class: "pv-quiet" }, "The oracle is the true change of the loss when one unit is removed (Molchanov et al. 2016). Blue agrees with it, orange contradicts it."),
    h("div", { class: "pv-form-line" }, pick, h("div", { class: "pv-actions" }, start, job.cancel)),
    cost, notFollowed, job.root, empty.root, ...[...pictures.values()].map((p) => p.root), text);
  return {
    root,
    set(view) {
      costs = view.costs || [];
      const found = view.agreement || { state: "none" };
      const before = images.value;
      setOptions(images, costs.map((c) => ({ name: String(c.images), label: c.images.toLocaleString("en-US") })));
      if (costs.length) images.value = costs.some((c) => String(c.images) === before) ? before : String(costs[Math.min(1, costs.length - 1)].images);
      setText(notFollowed, found.note);
      setHidden(notFollowed, !found.note || !!view.reason);
      setHidden(pick, !!view.reason);
      price();
      if (view.reason) setText(cost, view.reason);
      const running = job.set(found);
      start.disabled = running || !!view.reason || !costs.length;
      images.disabled = running || !costs.length;
      setText(start, running ? "Measuring…" : (found.figures || []).length ? "Measure again" : "Measure criteria against the oracle");
      for (const [name, picture] of pictures) {
        const figure = (found.figures || []).find((f) => f.name === name) || {};
        picture.set(figure.png, figure.alt);
      }
      setHidden(empty.root, (found.figures || []).length > 0);
      setText(text, found.text);
      setHidden(text, !found.text);
    },
  };
}

function racersPart(change) {
  const list = h("div", { class: "pv-racers-list" });
  const legend = h("legend", { class: "pv-label" });
  const root = h("fieldset", { class: "pv-racers" }, legend, list);
  let boxes = [];
  let signature = null;
  let most = 5;
  const chosen = () => boxes.filter((b) => b.checked).map((b) => b.value);
  const limit = () => {
    const full = chosen().length >= most;
    for (const box of boxes) box.disabled = root.disabled || (full && !box.checked);
    change();
  };
  return {
    root,
    chosen,
    set(view) {
      most = view.most || most;
      const next = JSON.stringify(view.criteria || []);
      if (next === signature) return;
      const before = signature === null ? null : chosen();
      signature = next;
      const names = (view.criteria || []).map((c) => c.name);
      const kept = (before || []).filter((name) => names.includes(name));
      const ticked = kept.length ? kept : view.usual || [];
      boxes = names.map((name) => h("input", { type: "checkbox", value: name, checked: ticked.includes(name), "data-testid": `racer-${name}`, onchange: limit }));
      setText(legend, `Criteria, up to ${most}`);
      list.replaceChildren(...(view.criteria || []).map((c, i) => h("label", null, boxes[i], h("span", null, c.label))));
      limit();
    },
    disable(off) {
      root.disabled = off;
      limit();
    },
  };
}

function racePart(bus) {
  let at = "sparsity";
  let measures = [];
  const start = h("button", { type: "button", class: "pv-button pv-primary", "data-testid": "race-start",
    onclick: () => bus.send("race", { criteria: racers.chosen(), at }) });
  const racers = racersPart(() => enable());
  const equal = segmented("Compare at equal", "race-at", (name) => {
    at = name;
    show();
  });
  equal.root.classList.add("pv-segmented-small");
  const help = h("p", { class: "pv-quiet" });
  const job = jobPart(bus, "Racing", "race");
  const empty = emptyState("Every criterion prunes the same network to the same cost, and each is measured. Pick some and start.");
  const picture = pngImage(bus, "pv-figure");
  const body = h("tbody");
  const accuracy = h("th", { scope: "col", class: "pv-number" });
  const table = h("table", { class: "pv-table", "data-testid": "race-table" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Criterion"), accuracy,
      h("th", { scope: "col", class: "pv-number" }, "time to score"))), body);
  const text = h("p", { class: "pv-quiet", "data-testid": "race-text" });
  let running = false;
  let shown = "";
  const enable = () => {
    start.disabled = running || !racers.chosen().length;
    setAttr(start, "title", racers.chosen().length ? null : "Tick a criterion first");
  };
  const show = () => {
    equal.set(measures, at);
    const chosen = measures.find((m) => m.name === at);
    setText(help, chosen ? `Equal means ${chosen.help}. ${hint}` : hint);
  };
  let hint = "";
  const root = h("section", { class: "pv-kind" }, h("h3", { class: "pv-h" }, "A race at equal cost"),
    h("p", { class: "pv-quiet" }, "Which one looks best depends on what is held equal (Blalock et al. 2020)."),
    racers.root, h("div", { class: "pv-field" }, h("div", { class: "pv-label" }, "Compare at equal"), equal.root), help,
    h("div", { class: "pv-actions" }, start, job.cancel), job.root, empty.root, picture.root, table, text);
  return {
    root,
    set(view) {
      const found = view.race || { state: "none" };
      measures = view.measures || [];
      hint = view.help || "";
      show();
      racers.set(view);
      const now = job.set(found);
      if (now !== running) {
        running = now;
        racers.disable(now);
      }
      enable();
      const rows = found.rows || [];
      setText(start, running ? "Racing…" : rows.length ? "Race again" : "Race");
      picture.set(found.png, found.alt);
      setHidden(empty.root, rows.length > 0);
      setHidden(table, !rows.length);
      const next = JSON.stringify(rows);
      if (next !== shown) {
        shown = next;
        if (rows.length) setText(accuracy, `right with ${percent(rows[0].share, 0)} % gone`);
        body.replaceChildren(...rows.map((row) => h("tr", null, h("th", { scope: "row" }, row.label),
          h("td", { class: "pv-number" }, known(row.accuracy) ? `${percent(row.accuracy)} %${known(row.spread) ? ` ± ${(100 * row.spread).toFixed(1)}` : ""}` : UNKNOWN),
          h("td", { class: "pv-number" }, row.seconds < 0.01 ? "under 10 ms" : `${row.seconds < 10 ? row.seconds.toFixed(2) : row.seconds.toFixed(0)} s`))));
      }
      setText(text, found.text);
      setHidden(text, !found.text);
    },
  };
}

function criteriaPanel(root, bus) {
  const oracle = oraclePart(bus);
  const race = racePart(bus);
  const body = h("div", { class: "pv-kinds" }, oracle.root, race.root);
  const empty = emptyState("Opening the network…");
  root.append(body, empty.root);
  bus.watch(["criteria_view"], () => {
    const view = bus.slice("criteria_view");
    const there = Array.isArray(view.criteria);
    setHidden(body, !there);
    setHidden(empty.root, there);
    if (!there) return;
    oracle.set(view);
    race.set(view);
  }, "criteria");
}
