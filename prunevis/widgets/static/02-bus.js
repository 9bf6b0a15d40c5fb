// The bus: what all panels share. It watches the model's slices and owns the slider's position. A move
// is a table look-up, and what a person looks at while moving (scoreboard, curve, slider) is drawn in
// the very event, so that the frame that is due shows it. What lies further off (views, layers) is
// drawn once that frame is on screen, and what cannot be seen not at all. Slices that arrive are drawn
// in the next frame.

const SEND_EVERY_MS = 50;
const ECHO_MS = 1500;
/** A slow kernel behind a slow network still sends back an older move so long after the last. */
const SETTLED_MS = 800;
/** Views follow a moving slider at most this often. */
const LATER_MS = 40;
/** So long after the last move the page is at rest. */
const REST_MS = 300;

/** A function, to call in a frame, that has `call` run after its paint, at most every `rest` ms. */
function afterPaint(rest, call) {
  const channel = new MessageChannel();
  let waiting = false;
  let timer = null;
  let last = -Infinity;
  const run = () => {
    timer = null;
    waiting = false;
    call();
    last = performance.now();
  };
  channel.port1.onmessage = () => {
    const wait = last + rest - performance.now();
    if (wait > 0) timer = setTimeout(run, wait);
    else run();
  };
  const later = () => {
    if (waiting) return;
    waiting = true;
    // A message posted in a frame arrives after its paint.
    channel.port2.postMessage(null);
  };
  later.close = () => {
    waiting = true;
    clearTimeout(timer);
    channel.port1.close();
  };
  return later;
}

function makeBus(model, root) {
  const cleanups = [];
  const watchers = [];
  const movers = [];
  const followers = [];
  const boxes = new Map();
  let frame = null;
  let stale = false; // the scoreboard and the curve have something to show
  let drawn = false; // they were drawn in an event since the last frame
  let whole = false; // everything is to be drawn in the next frame
  let resting = null;
  let position = Number(model.get("position")) || 0;
  let dragging = false;
  let sentAt = -Infinity;
  let pending = null;
  let recent = [];
  let closed = false;
  let begun = false;

  // A notebook's kernel lives on: its owner leaves the slider where the last move put it.
  const line = lineOf(model, () => {
    if (pending !== null) transmitNow();
  });
  cleanups.push(line.close);

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
    send(action, more) {
      if (line.open()) model.send({ action, ...more });
    },

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

    /** Call `fn(at)` whenever the position or what is known of it changed; `later`: after the paint. */
    onMove: (fn, { tab = null, later = false, box = null } = {}) =>
      (later ? followers : movers).push({ fn, tab, box: box && seen(box) }),

    refresh() {
      stale = true;
      frameSoon();
    },

    /** Draw all there is, at once. */
    flush() {
      whole = true;
      draw();
    },

    /** All panels must be drawn anew (their size or the colours changed). */
    redraw() {
      for (const watcher of watchers) watcher.dirty = true;
      whole = true;
      frameSoon();
    },

    show(tab) {
      bus.tab = tab;
      bus.send("tab", { name: tab });
      whole = true;
      // What a tab shows is there with the click; while the page is being built there is nothing yet.
      if (begun) draw();
      else frameSoon();
    },

    drag: (on) => (dragging = on),

    /** A person moves to sparsity `x` in [0, 1). */
    move(x) {
      const table = slice("table");
      const tail = table.sparsity && table.sparsity.length ? table.sparsity[table.sparsity.length - 1] : 0.999;
      // A table that ends early ends where no more can go.
      const last = endsEarly(table) ? tail : Math.max(0.999, tail);
      const next = Math.min(Math.max(x, 0), Math.min(last, 0.9999));
      if (!known(next) || next === position) return;
      position = next;
      transmit();
      moving();
      stale = true;
      frameSoon();
      // A second move before the frame is drawn in the frame: nobody sees the first.
      if (drawn) return;
      drawn = true;
      drawMovers();
    },

    get position() {
      return position;
    },
  };

  const shown = (item) => (item.tab === null || item.tab === bus.tab) && (!item.box || item.box.seen);

  /** Whether `node` is in sight; drawn anew when it comes into sight. */
  function seen(node) {
    if (boxes.has(node)) return boxes.get(node);
    const box = { seen: true };
    const observer = new IntersectionObserver((entries) => {
      box.seen = entries[entries.length - 1].isIntersecting;
      if (box.seen) later();
    });
    observer.observe(node);
    cleanups.push(() => observer.disconnect());
    boxes.set(node, box);
    return box;
  }

  function frameSoon() {
    if (frame === null && !closed) frame = requestAnimationFrame(draw);
  }

  function draw() {
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    drawn = false;
    if (closed) return;
    begun = true;
    bus.at = look(position);
    for (const watcher of watchers) {
      if (watcher.dirty && shown(watcher)) {
        watcher.dirty = false;
        guarded(watcher.fn, bus.at);
      }
    }
    if (stale || whole) drawMovers();
    if (whole) drawFollowers();
    else later();
    whole = false;
  }

  function drawMovers() {
    stale = false;
    bus.at = look(position);
    for (const mover of movers) if (shown(mover)) guarded(mover.fn, bus.at);
  }

  const later = afterPaint(LATER_MS, drawFollowers);
  cleanups.push(later.close);

  function drawFollowers() {
    bus.at = look(position);
    for (const follower of followers) if (shown(follower)) guarded(follower.fn, bus.at);
  }

  // Nothing else moves on the page while a hand does: each animated frame costs as much as a real one.
  function moving() {
    if (resting === null) setAttr(root, "data-moving", true);
    else clearTimeout(resting);
    resting = setTimeout(() => {
      resting = null;
      setAttr(root, "data-moving", null);
    }, REST_MS);
  }

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
      words: table.words || "sparsity",
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
    if (!line.open()) return;
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
    if (echo && latest && now - latest.time < SETTLED_MS) return;
    position = value;
    bus.refresh();
    // A move of ours that crossed Python's on the way must not be the last that Python heard.
    if (!echo && latest && now - latest.time < ECHO_MS) transmit();
  }
  model.on("change:position", follow);
  for (const name of ["table", "curve", "controls"]) {
    model.on(`change:${name}`, bus.refresh);
    cleanups.push(() => model.off(`change:${name}`, bus.refresh));
  }

  bus.close = () => {
    closed = true;
    if (frame !== null) cancelAnimationFrame(frame);
    clearTimeout(resting);
    if (pending !== null) transmitNow();
    model.off("change:position", follow);
    for (const fn of cleanups.splice(0).reverse()) fn();
  };
  return bus;
}
