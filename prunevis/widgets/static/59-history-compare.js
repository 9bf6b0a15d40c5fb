// Two steps side by side: figures, examples whose prediction changed, classes, layers.

const SAMPLE_KINDS = {
  forgotten: ["Forgotten", "right before, wrong after"],
  learned: ["Learned", "wrong before, right after"],
  other: ["Wrong in another way", "wrong both times"],
};
const asValue = {
  share: (x) => `${percent(x, 2)} %`,
  loss: (x) => x.toFixed(4),
  count: (x, like) => (Math.max(x, like || 0) >= 1e6 ? scaledText(x, "count", like) : integer(x)),
  bytes: (x, like) => scaledText(x, "bytes", like),
};

/** The change in words, and whether it is for the better. */
function changeOf(kind, [a, b]) {
  if (!known(a) || !known(b)) return ["", null];
  if (a === b) return ["the same", null];
  if (kind === "share") return [`${b > a ? "+" : "−"}${(100 * Math.abs(b - a)).toFixed(2)} points`, b > a ? "better" : "loss"];
  if (kind === "loss") return [`${b > a ? "+" : "−"}${Math.abs(b - a).toFixed(4)}`, b < a ? "better" : "loss"];
  if (b < a) return [b > 0 ? `${ratio(a, b)} less` : "nothing left", "better"];
  return [a > 0 ? `${ratio(b, a)} more` : "more", "loss"];
}

// Both in the unit of the first, so that they can be compared at a glance.
const pairCells = (kind, values) => values.map((v) => h("td", { class: "pv-number" }, known(v) ? asValue[kind](v, values[0]) : UNKNOWN));

function changeCell(kind, values) {
  const [text, tone] = changeOf(kind, values);
  return h("td", { class: "pv-number", "data-tone": tone }, text);
}

/** A table with a row a thing and before, after, change; `head` names the first column. */
function pairTable(testid, label) {
  const head = h("tr");
  const body = h("tbody");
  return {
    root: h("div", { class: "pv-pair-box" }, h("table", { class: "pv-table pv-pair", "data-testid": testid, "aria-label": label }, h("thead", null, head), body)),
    set(columns, rows) {
      head.replaceChildren(...columns.map((text, i) => h("th", { scope: "col", class: i ? "pv-number" : null }, text)));
      body.replaceChildren(...rows);
    },
  };
}

function samplePicture(sample) {
  const bytes = bytesOf(sample.pixels);
  if (!bytes || !sample.width) return h("p", { class: "pv-sample-facts pv-quiet" }, `no. ${sample.index}: ${sample.facts}`);
  const canvas = h("canvas", { width: sample.width, height: sample.height, role: "img", "aria-label": sample.alt, class: "pv-sample-picture" });
  const from = new Uint8Array(bytes);
  const image = new ImageData(sample.width, sample.height);
  const n = sample.channels;
  for (let i = 0; i < sample.width * sample.height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = from[n * i + (n === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function sampleFigure(sample) {
  const sure = (x) => (known(x) ? ` ${percent(x, 0)}\u00a0%` : "");
  const line = (i, word, tone) => h("span", { class: "pv-sample-said" }, h("span", { class: "pv-quiet" }, `${word} `),
    h("span", { "data-tone": tone }, sample.said[i]), sure(sample.sure[i]));
  const wrong = sample.kind === "learned" ? null : "loss";
  return h("li", { "data-testid": "sample", "data-kind": sample.kind, "data-index": sample.index }, samplePicture(sample),
    h("div", { class: "pv-sample-text" }, h("strong", null, sample.label), line(0, "before", null),
      line(1, "after", sample.kind === "learned" ? "better" : wrong)));
}

function comparePart(bus) {
  const job = jobPart(bus, "Comparing two steps", "compare");
  const title = h("h3", { class: "pv-h", "data-testid": "compare-title" });
  const text = h("p", { "data-testid": "compare-text" });
  const scores = pairTable("compare-scores", "What both cost");
  const samples = h("div", { class: "pv-samples", "data-testid": "samples" });
  const note = h("p", { class: "pv-quiet" });
  const perClass = pairTable("compare-classes", "Right by class");
  const perLayer = pairTable("compare-layers", "What each layer keeps");
  const body = h("div", { class: "pv-compare-body" }, text, scores.root, samples, note,
    h("details", { open: true }, h("summary", null, "Class by class"), perClass.root),
    h("details", null, h("summary", null, "Layer by layer"), perLayer.root));
  const root = h("section", { class: "pv-compare", "data-testid": "compare", "aria-label": "Comparison" }, title,
    job.root, body);
  job.root.append(h("div", { class: "pv-actions" }, job.cancel));
  let shown = null;
  return {
    root,
    set(view) {
      setHidden(root, !view.pair);
      setAttr(root, "data-state", view.state);
      if (!view.pair) return;
      setText(title, `${view.names[0]}, against: ${view.names[1]}`);
      job.set(view);
      setHidden(job.root, view.state === "done");
      const done = view.rows.length > 0;
      setHidden(body, !done);
      if (!done || view === shown) return;
      shown = view;
      setText(text, view.text);
      setText(note, view.note);
      scores.set(["figure", "before", "after", "change"], view.rows.map((row) => h("tr", null, h("th", { scope: "row" }, row.label),
        pairCells(row.kind, row.values), changeCell(row.kind, row.values))));
      samples.replaceChildren(...Object.entries(SAMPLE_KINDS).filter(([kind]) => view.counts[kind]).map(([kind, [label, what]]) => {
        const mine = view.samples.filter((sample) => sample.kind === kind);
        const count = view.counts[kind];
        const most = mine.length < count ? `, the ${mine.length} that changed most` : "";
        return h("div", { class: "pv-sample-kind", "data-testid": `samples-${kind}` },
          h("h4", { class: "pv-label" }, `${label}: ${integer(count)}`, h("span", null, ` (${what}${most})`)),
          h("ul", { class: "pv-sample-list" }, mine.map(sampleFigure)));
      }));
      perClass.set(["class", "before", "after", "change"], view.classes.map((c) => h("tr", null,
        h("th", { scope: "row" }, c.name, h("span", { class: "pv-quiet" }, ` ${integer(c.count)}`)), pairCells("share", c.values), changeCell("share", c.values))));
      perLayer.set(["layer", "units", "parameters", "MACs"], view.layers.map((l) => h("tr", null, h("th", { scope: "row" }, l.name),
        ["units", "params", "macs"].map((key) => {
          const [a, b] = l[key].map((v) => (known(v) ? scaledText(v, "count") : UNKNOWN));
          return h("td", { class: "pv-number", "data-tone": null }, a === b ? a : `${a} → ${b}`);
        }))));
    },
  };
}
