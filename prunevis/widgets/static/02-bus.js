// The bus: what all panels share. It watches the model's slices, owns the slider's position, and runs
// every update inside one animation frame, so that a move is a table look-up and a single paint.

const SEND_EVERY_MS = 50;
const ECHO_MS = 1500;

/** Index of the entry of the ascending list `sparsity` that is nearest to `x`. */
function nearest(sparsity, x) {
  let low = 0;
  let high = sparsity.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sparsity[middle] <= x) low = middle;
    else high = middle;
  }
  return Math.abs(sparsity[high] - x) < Math.abs(x - sparsity[low]) ? high : low;
}

function makeBus(model, root) {
  const cleanups = [];
  const watchers = [];
  const movers = [];
  let frame = null;
  let position = Number(model.get("position")) || 0;
  let dragging = false;
  let sentAt = -Infinity;
  let pending = null;
  let recent = [];
  let closed = false;

  const slice = (name) => {
    const value = model.get(name);
    return value && typeof value === "object" ? value : {};
  };

  const bus = {
    tab: null,
    at: null,
    slice,
    root,
    cleanup: (fn) => cleanups.push(fn),
    model,
    send: (action, more) => model.send({ action, ...more }),

    /** Call `fn` in a frame after any slice in `names` changed (only while its tab is shown). */
    watch(names, fn, tab = null) {
      const watcher = { fn, tab, dirty: true };
      watchers.push(watcher);
      for (const name of names) {
        const mark = () => {
          watcher.dirty = true;
          bus.refresh();
        };
        model.on(`change:${name}`, mark);
        cleanups.push(() => model.off(`change:${name}`, mark));
      }
    },

    /** Call `fn(at)` in every frame in which the position or what is known of it changed. */
    onMove: (fn, tab = null) => movers.push({ fn, tab }),

    refresh() {
      if (frame === null && !closed) frame = requestAnimationFrame(bus.flush);
    },

    flush() {
      if (frame !== null) cancelAnimationFrame(frame);
      frame = null;
      if (closed) return;
      bus.at = look(position);
      for (const watcher of watchers) {
        if (watcher.dirty && shown(watcher)) {
          watcher.dirty = false;
          guarded(watcher.fn, bus.at);
        }
      }
      for (const mover of movers) if (shown(mover)) guarded(mover.fn, bus.at);
    },

    /** A panel must be drawn anew (its size or the colours changed). */
    redraw() {
      for (const watcher of watchers) watcher.dirty = true;
      bus.refresh();
    },

    show(tab) {
      bus.tab = tab;
      bus.send("tab", { name: tab });
      bus.refresh();
    },

    drag: (on) => (dragging = on),

    /** A person moves to sparsity `x` in [0, 1). */
    move(x) {
      const table = slice("table");
      const last = table.sparsity && table.sparsity.length
        ? Math.max(0.999, table.sparsity[table.sparsity.length - 1]) : 0.999;
      const next = Math.min(Math.max(x, 0), Math.min(last, 0.9999));
      if (!known(next) || next === position) return;
      position = next;
      bus.refresh();
      transmit();
    },

    get position() {
      return position;
    },
  };

  const shown = (item) => item.tab === null || item.tab === bus.tab;

  function guarded(fn, at) {
    try {
      fn(at);
    } catch (error) {
      // One panel's bad data must not stop the others.
      console.error("prunevis:", error);
    }
  }

  /** What all panels read: the table, the index of the position, and what is known of accuracy. */
  function look(x) {
    const table = slice("table");
    if (!table.sparsity || !table.sparsity.length) return { position: x, k: 0, table: null };
    const k = nearest(table.sparsity, x);
    const curve = slice("curve");
    const fits = curve.key === table.key && curve.value && curve.value.length === table.sparsity.length;
    return {
      position: x, k, table,
      size: table.sparsity.length,
      base: table.base || {},
      curve: fits ? curve : null,
      // A typed sparsity is in the table only once Python has put it there.
      // Nor do costs of another choice count while the new one is being ranked.
      exactly: Math.abs(table.sparsity[k] - x) < 5e-5 && !slice("controls").pending,
      byUnit: table.granularity === "unit",
    };
  }

  // Send at the leading and at the trailing edge of each 50 ms.
  function transmit() {
    const wait = SEND_EVERY_MS - (performance.now() - sentAt);
    if (wait > 0) {
      if (pending === null) pending = setTimeout(transmitNow, wait);
      return;
    }
    transmitNow();
  }

  function transmitNow() {
    clearTimeout(pending);
    pending = null;
    sentAt = performance.now();
    recent = recent.filter((r) => sentAt - r.time < ECHO_MS);
    recent.push({ time: sentAt, value: position });
    model.set("position", position);
    model.save_changes();
  }

  // Python moves the slider after apply, undo or another model; an echo of our own is not a move.
  function follow() {
    const value = Number(model.get("position"));
    if (!known(value) || value === position || dragging || pending !== null) return;
    const now = performance.now();
    const echo = recent.some((r) => now - r.time < ECHO_MS && Math.abs(r.value - value) < 1e-9);
    const latest = recent.length ? recent[recent.length - 1] : null;
    if (echo && latest && now - latest.time < 300) return;
    position = value;
    bus.refresh();
  }
  model.on("change:position", follow);
  for (const name of ["table", "curve", "controls"]) {
    model.on(`change:${name}`, bus.refresh);
    cleanups.push(() => model.off(`change:${name}`, bus.refresh));
  }

  bus.close = () => {
    closed = true;
    if (frame !== null) cancelAnimationFrame(frame);
    if (pending !== null) transmitNow();
    model.off("change:position", follow);
    for (const fn of cleanups.splice(0).reverse()) fn();
  };
  return bus;
}

/** What is known of accuracy at index `k`: its state, value, interval and how many images. */
function accuracyAt(at, k = at.k) {
  const curve = at.curve;
  if (!curve || !known(curve.value[k])) return { state: "unknown" };
  const value = curve.value[k];
  if (curve.exact && curve.exact[k]) {
    return { state: "exact", value, low: value, high: value, seen: curve.total, total: curve.total };
  }
  const low = curve.low && known(curve.low[k]) ? curve.low[k] : value;
  const high = curve.high && known(curve.high[k]) ? curve.high[k] : value;
  return { state: "estimate", value, low, high, seen: curve.seen ? curve.seen[k] : null, total: curve.total };
}

/** "exact, 10,000 of 10,000 images" */
function accuracySource(a) {
  if (a.state === "unknown") return "measuring…";
  const of = known(a.total) ? ` of ${integer(a.total)}` : "";
  return a.state === "exact"
    ? known(a.total) ? `exact, ${integer(a.total)}${of}` : "exact"
    : known(a.seen) ? `estimate, ${integer(a.seen)}${of} images` : "estimate";
}
