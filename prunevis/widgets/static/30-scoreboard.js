// Four cards: accuracy, size, parameters, FLOPs. Made once; a move changes text and a transform.

function card(name, label) {
  const value = h("span", { class: "pv-value" });
  const unit = h("span", { class: "pv-measure" });
  const was = h("span");
  const change = h("span", { class: "pv-change" });
  const bar = h("i");
  const tick = h("b", { hidden: true });
  const foot = h("div", { class: "pv-card-foot" });
  const root = h("section", { class: "pv-card pv-score", "data-testid": `card-${name}`, "aria-label": label },
    h("h2", { class: "pv-label" }, label),
    h("div", { class: "pv-big" }, value, unit),
    h("div", { class: "pv-was" }, was, " ", change),
    h("div", { class: "pv-meter", "aria-hidden": "true" }, bar, tick),
    foot);
  return {
    root, foot, bar, tick,
    set(next) {
      setHidden(unit, !next.unit);
      setText(value, next.value);
      setText(unit, next.unit);
      setText(was, next.was);
      setText(change, next.change);
      setAttr(change, "data-tone", next.tone);
    },
  };
}

/** Lines of the form "label … value" at the foot of a card. */
function ledger(foot, n) {
  const lines = Array.from({ length: n }, () => {
    const label = h("span");
    const value = h("span", { class: "pv-ledger-value" });
    const root = h("div", { class: "pv-ledger" }, label, value);
    foot.append(root);
    return { root, label, value };
  });
  return (...pairs) => {
    lines.forEach((line, i) => {
      const pair = pairs[i];
      setText(line.label, pair ? pair[0] : "\u00a0");
      setText(line.value, pair ? pair[1] : "");
      setAttr(line.root, "data-main", pair ? pair[2] : false);
    });
  };
}

function accuracyCard(bus) {
  const part = card("accuracy", "Accuracy");
  const source = h("div", { class: "pv-ledger pv-wrap" });
  const near = h("div", { class: "pv-ledger pv-wrap" });
  const beside = h("div", { class: "pv-ledger pv-wrap pv-beside", "data-testid": "deleted" });
  part.foot.append(source, near, beside);
  let last = UNKNOWN;
  return {
    root: part.root,
    move(at) {
      const a = accuracyAt(at);
      const base = at.base.accuracy;
      setAttr(bus.root, "data-state", a.state);
      setAttr(part.root, "data-state", a.state);
      const was = known(base) ? `was ${percent(base)}\u00a0%` : "measuring the start";
      if (a.state === "unknown") {
        part.set({ value: last, unit: last === UNKNOWN ? "" : "%", was, change: "" });
        setText(source, "measuring…");
        setText(near, "");
      } else {
        last = percent(a.value);
        const half = a.state === "estimate" ? Math.max(a.high - a.value, a.value - a.low) : 0;
        const difference = known(base) ? a.value - base : null;
        const noise = a.state === "estimate" && known(base) && base >= a.low && base <= a.high;
        const points = known(difference) ? percent(difference) : "";
        const none = points === "0.0" || points === "−0.0";
        part.set({
          value: last,
          unit: half ? `±\u00a0${percent(Math.max(half, 0.0005))}\u00a0%` : "%",
          was,
          change: !known(difference) ? "" : noise ? "within noise" : none ? "no change"
            : `${difference > 0 ? "+" : ""}${points} points`,
          tone: noise || none || !known(difference) ? null : difference > 0 ? "better" : "loss",
        });
        setText(source, accuracySource(a));
        const fewer = known(difference) && known(a.total) ? Math.round(-difference * a.total) : 0;
        setText(near, half ? `95 % interval ${percent(a.low)} to ${percent(a.high)}`
          : fewer ? `${plural(Math.abs(fewer), `${fewer > 0 ? "fewer" : "more"} image`, `${fewer > 0 ? "fewer" : "more"} images`)} right` : "");
      }
      setText(beside, besideText(at, a));
      setHidden(beside, !besideText(at, a));
      const low = a.state === "unknown" ? 0 : a.low;
      const high = a.state === "unknown" ? 0 : a.high;
      const width = Math.max(high - low, 0.012);
      // The meter is the interval on a line from 0 to 100 %; the tick is where it was.
      part.bar.style.transform = a.state === "exact"
        ? `scaleX(${a.value})` : `translateX(${100 * Math.min(low, 1 - width)}%) scaleX(${width})`;
      part.tick.style.transform = `translateX(${100 * (known(base) ? base : 0)}%)`;
      setHidden(part.tick, !known(base));
    },
  };
}

/** What deletion alone gives where the slider stands, and what the repair adds to that. */
function besideText(at, a) {
  const list = at.curve && at.curve.deleted;
  if (!list || !list.length) return "";
  const plain = list[at.k];
  if (!known(plain)) return "deleted: measuring…";
  const about = at.curve.deleted_exact[at.k] ? "" : "about ";
  const gain = a.state === "unknown" ? null : a.value - plain;
  const more = known(gain) ? `, repair ${gain > 0 ? "+" : ""}${percent(gain)}` : "";
  return `deleted ${about}${percent(plain)}\u00a0%${more}`;
}

function costCard(name, label, describe, lines) {
  const part = card(name, label);
  const foot = ledger(part.foot, lines);
  return {
    root: part.root,
    move(at) {
      const d = describe(at, at.k);
      const left = known(d.now) && d.before > 0 ? d.now / d.before : 1;
      const times = ratio(d.before, d.now);
      const less = left < 0.9995;
      const [value, unit] = d.text(d.now);
      part.set({
        value, unit,
        was: `was ${d.text(d.before).filter(Boolean).join("\u00a0")}`,
        change: less && times ? `${times} ${d.word}` : left > 1.0005 ? `${percent(left - 1)} % more` : "no change",
        tone: less ? "better" : left > 1.0005 ? "loss" : null,
      });
      part.bar.style.transform = `scaleX(${Math.min(1, Math.max(0, left))})`;
      setAttr(part.root, "data-dim", !at.exactly);
      foot(...d.lines);
    },
  };
}

const STORED_AS = { dense: "dense tensors", bitmask: "bitmask file", csr: "CSR file" };

function sizeOf(at, k) {
  const t = at.table;
  const before = at.base.bytes;
  const size = (x) => scaledText(x, "bytes", before);
  const kind = t.storage ? t.storage[k] : "dense";
  const dense = t.dense_bytes ? t.dense_bytes[k] : t.bytes[k];
  const packed = at.curve && at.curve.compressed ? at.curve.compressed[k] : null;
  // What any tool reads comes first; a compressed file must be unpacked before it is of use.
  const ways = [["dense tensors", dense]];
  if (kind !== "dense") ways.unshift([STORED_AS[kind] || kind, t.bytes[k]]);
  if (known(packed)) ways.push(["compressed file", packed]);
  // Any file packs a little; that is no merit of pruning, so it counts only where there are zeros.
  const zeros = !at.byUnit && t.params[k] < at.base.params;
  const counted = ways.filter(([label]) => zeros || label !== "compressed file");
  const now = Math.min(...counted.map(([, bytes]) => bytes));
  const lines = ways.map(([label, bytes]) => [label, size(bytes), bytes === now]);
  return { now, before, word: "smaller", text: (x) => scaled(x, "bytes", before), lines };
}

function paramsOf(at, k) {
  const now = at.table.params[k];
  const before = at.base.params;
  const text = (x) => (before >= 1e6 ? scaled(x, "count", before) : [integer(x), ""]);
  const removed = known(before) && known(now) ? before - now : null;
  const lines = at.byUnit
    ? [["removed", integer(removed)], [removed > 0 ? "gone from memory and file" : "nothing is removed yet", ""]]
    : [["zeros", integer(removed)], ["kept in memory until stored sparse", ""]];
  return { now, before, word: "fewer", text, lines };
}

function flopsOf(at, k) {
  const t = at.table;
  const before = at.base.flops;
  const effective = t.effective_flops[k];
  const removed = t.removed_flops[k];
  const size = (x) => scaledText(x, "count", before);
  return {
    now: at.byUnit ? removed : effective, before,
    word: at.byUnit ? "fewer" : "if skipped",
    text: (x) => scaled(x, "count", before),
    lines: [["nominal", size(before)], ["zeros skipped", size(effective), !at.byUnit],
      ["after removal", size(removed), at.byUnit]],
  };
}

function scoreboardPanel(root, bus) {
  const cards = [
    accuracyCard(bus),
    costCard("size", "Size", sizeOf, 3),
    costCard("params", "Parameters", paramsOf, 2),
    costCard("flops", "FLOPs", flopsOf, 3),
  ];
  const board = h("div", { class: "pv-scoreboard", "data-loading": true }, ...cards.map((c) => c.root));
  root.append(board);
  bus.onMove((at) => {
    setAttr(board, "data-loading", !at.table);
    if (at.table) for (const c of cards) c.move(at);
  });
}
