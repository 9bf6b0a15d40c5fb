// The top line: what is looked at, what is running. And the bar that says what went wrong.

function headerPanel(root, bus) {
  const title = h("span", { class: "pv-title" });
  const note = h("span", { class: "pv-note" });
  const text = h("span");
  const count = h("span", { class: "pv-status-count" });
  const status = h("div", { class: "pv-status", "data-testid": "status", "data-kind": "loading" },
    h("span", { class: "pv-dot", "aria-hidden": "true" }), text, count);
  const bar = h("i");
  const progress = h("div", { class: "pv-progress-line", "aria-hidden": "true" }, bar);
  root.append(
    h("header", { class: "pv-header" },
      h("div", { class: "pv-names" }, h("h1", { class: "pv-brand" }, "prunevis"), title, note),
      languageMenu(bus), status),
    progress);

  bus.watch(["head"], () => {
    const head = bus.slice("head");
    setText(title, head.title);
    setText(note, head.note);
  });
  bus.watch(["status"], () => {
    const now = bus.slice("status");
    const kind = ["loading", "busy", "idle", "error"].includes(now.kind) ? now.kind : "idle";
    setAttr(status, "data-kind", kind);
    setText(text, now.text || "Ready");
    const counting = known(now.done) && known(now.total) && now.total > 0;
    const told = counting && String(now.text || "").includes(integer(now.total));
    setText(count, counting && !told ? `${integer(now.done)} of ${integer(now.total)}` : "");
    setAttr(progress, "data-on", kind === "busy" || kind === "loading");
    setAttr(progress, "data-endless", !counting);
    bar.style.transform = counting ? `scaleX(${Math.min(1, now.done / now.total)})` : "";
  });
}

/** The scoreboard in one sentence, as it is read out; "" while nothing is known where the slider stands. */
function scoreboardSentence(at) {
  const a = at && at.table ? accuracyAt(at) : { state: "unknown" };
  if (a.state === "unknown" || !at.exactly) return "";
  const size = sizeOf(at, at.k);
  const params = paramsOf(at, at.k);
  const flops = flopsOf(at, at.k);
  return `At ${percent(at.position)} percent ${at.words}: accuracy ${a.state === "estimate" ? "about " : ""}${percent(a.value)} percent`
    + `, size ${size.text(size.now).join(" ")}, ${integer(params.now)} parameters, ${flops.text(flops.now).join(" ")} FLOPs.`;
}

/** So long the page has been at rest before anything is read out. */
const VOICE_MS = 1200;

/** Reads out what the slider rests on, and what the work has come to: once, never on the way. */
function announcer(root, bus) {
  const voice = h("div", { class: "pv-sr", role: "status", "aria-live": "polite", "data-testid": "voice" });
  root.append(voice);
  let timer = null;
  let told = "";
  let heard = "";
  const say = () => {
    timer = null;
    const at = bus.at;
    const status = bus.slice("status");
    const resting = status.kind !== "busy" && status.kind !== "loading";
    const state = at && at.table ? accuracyAt(at).state : "unknown";
    // An estimate is read out once, and again when it has become exact; not each time it is refined.
    const board = scoreboardSentence(at);
    const next = `${at ? at.position : ""} ${at && at.table ? at.table.key : ""} ${state === "exact" ? board : state}`;
    const words = [];
    const line = status.text || "Ready";
    if (resting && line !== told) words.push(`${(told = line).replace(/\.$/, "")}.`);
    if (board && next !== heard) words.push(board);
    heard = next;
    if (words.length) setText(voice, words.join(" "));
  };
  let last = null;
  const soon = () => {
    if (timer === null) timer = setTimeout(say, VOICE_MS);
  };
  bus.watch(["status", "curve", "table"], soon);
  // Each move begins the wait anew.
  bus.onMove((at) => {
    if (at.position === last) return;
    last = at.position;
    clearTimeout(timer);
    timer = null;
    soon();
  });
  bus.cleanup(() => clearTimeout(timer));
}

function problemPanel(root, bus) {
  const text = h("strong");
  const fix = h("span", { class: "pv-problem-fix" });
  const detail = h("pre", { class: "pv-problem-detail", tabindex: "0" });
  const more = h("details", null, h("summary", null, "Details"), detail);
  const close = h("button", { class: "pv-icon", type: "button", "aria-label": "Dismiss this message",
    "data-testid": "dismiss", onclick: () => bus.send("dismiss") }, "×");
  const body = h("div", { class: "pv-problem-body" }, h("p", null, text, " ", fix), more);
  const bar = h("div", { class: "pv-problem", "data-testid": "problem", hidden: true },
    h("span", { class: "pv-problem-sign", "aria-hidden": "true" }, "!"), body, close);
  root.append(h("div", { role: "alert" }, bar));
  bus.watch(["problem"], () => {
    const problem = bus.slice("problem");
    setText(text, problem.text);
    setText(fix, problem.fix);
    setText(detail, problem.detail);
    setHidden(more, !problem.detail);
    setHidden(bar, !problem.text);
  });
}
