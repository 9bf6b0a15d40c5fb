// Beneath the trade-off: measured time, what others published, and the report card. Nothing is
// measured before somebody asks.

/** Bars of one size of batch: medians against the dense one, a line from quartile to quartile. */
function timingBars(rows) {
  const widest = Math.max(1, ...rows.map((row) => row.high));
  const part = (v) => `${((100 * v) / widest).toFixed(2)}%`;
  return h("div", { class: "pv-timing-batch" },
    h("div", { class: "pv-label" }, rows[0].batch === 1 ? "1 input at once" : `${rows[0].batch} inputs at once`),
    h("dl", { class: "pv-timing-bars" }, rows.map((row) => h("div", { "data-testid": `timing-${row.name}-${row.batch}` },
      h("dt", null, row.name),
      h("dd", null,
        h("span", { class: "pv-timing-track", "aria-hidden": "true" },
          h("i", { class: "pv-timing-bar", "data-name": row.name, style: `width:${part(row.share)}` }),
          h("i", { class: "pv-timing-spread", style: `left:${part(row.low)};width:${part(row.high - row.low)}` })),
        h("span", { class: "pv-timing-text" }, row.text, row.note ? h("span", { class: "pv-quiet" }, ` ${row.note}`) : null))))));
}

function timingPart(bus) {
  const start = h("button", { type: "button", class: "pv-button", "data-testid": "latency-start", onclick: () => bus.send("latency") });
  const job = jobPart(bus, "Measuring time", "latency");
  const bars = h("div", { class: "pv-timing", "data-testid": "timing" });
  const text = h("p", { class: "pv-quiet", "data-testid": "timing-text" });
  let shown = "";
  return {
    root: h("section", { class: "pv-kind" }, h("h3", { class: "pv-h" }, "Measured time"),
      h("p", { class: "pv-quiet" }, "FLOPs are arithmetic; a clock also sees memory, overhead and how busy the machine is."),
      bars, text, h("div", { class: "pv-actions" }, start, job.cancel), job.root),
    set(view) {
      const running = job.set(view);
      const rows = view.rows || [];
      start.disabled = running;
      setText(start, running ? "Measuring…" : rows.length ? "Measure again" : "Measure latency");
      const next = JSON.stringify(rows);
      if (next !== shown) {
        shown = next;
        const batches = [...new Set(rows.map((row) => row.batch))];
        bars.replaceChildren(...batches.map((batch) => timingBars(rows.filter((row) => row.batch === batch))));
      }
      setHidden(bars, !rows.length);
      setText(text, view.text);
      setHidden(text, !view.text);
    },
  };
}

const CARD_MARKS = { met: "✓", "not met": "✗", "not applicable": "–" };

function cardsPart() {
  const list = h("div", { class: "pv-cards" });
  const open = new Set();
  let shown = "";
  return {
    root: h("section", { class: "pv-kind", "data-testid": "report-cards" }, h("h3", { class: "pv-h" }, "Report card"),
      h("p", { class: "pv-quiet" }, "What an experiment should report, after the checklist of Blalock et al. (2020), in our words."), list),
    set(cards) {
      const next = JSON.stringify(cards);
      if (next === shown) return;
      shown = next;
      // not rebuilt under the focus: what is open stays open, and the summary keeps the focus
      const focused = [...list.children].findIndex((node) => node.contains(document.activeElement));
      list.replaceChildren(...cards.map((card) => {
        const items = card.items.map((item) => h("li", { "data-state": item.state },
          h("span", { class: "pv-card-mark", role: "img", "aria-label": item.state }, CARD_MARKS[item.state]),
          h("div", null, h("strong", null, item.title), h("p", { class: "pv-quiet" }, item.why),
            item.how ? h("p", { class: "pv-card-how" }, item.how) : null)));
        const node = h("details", { open: open.has(card.title), "data-testid": "report-card",
          ontoggle: () => (node.open ? open.add(card.title) : open.delete(card.title)) },
          h("summary", null, `${card.title}: ${card.verdict}`), h("ul", { class: "pv-card-items" }, items));
        return node;
      }));
      if (focused >= 0 && list.children[focused]) list.children[focused].querySelector("summary").focus({ preventScroll: true });
    },
  };
}

function publishedPart() {
  const items = h("ul", { class: "pv-papers-list" });
  const summary = h("summary");
  const root = h("details", { class: "pv-papers", "data-testid": "published" }, summary, items);
  let shown = "";
  return {
    root,
    set(papers) {
      setHidden(root, !papers.length);
      const next = JSON.stringify(papers);
      if (next === shown) return;
      shown = next;
      setText(summary, `Grey rings: ${papers.length} published results for this network and data, trained by others`);
      items.replaceChildren(...papers.map((p) => h("li", null, `${p.paper}: ${p.method}, ${percent(p.accuracy)} %. `, h("span", { class: "pv-quiet" }, p.source))));
    },
  };
}

function judgedPanel(root, bus) {
  const papers = publishedPart();
  const timing = timingPart(bus);
  const cards = cardsPart();
  const body = h("div", { class: "pv-kinds pv-judged", hidden: true }, timing.root, cards.root);
  root.append(papers.root, body);
  papers.set([]);
  bus.watch(["judged_view"], () => {
    const view = bus.slice("judged_view");
    const there = !!view.timing;
    setHidden(body, !there);
    papers.set(view.published || []);
    if (!there) return;
    timing.set(view.timing);
    setHidden(cards.root, !view.cards.length);
    cards.set(view.cards);
  }, "tradeoff");
}
