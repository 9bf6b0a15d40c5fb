// Says when Python has gone: a killed kernel or an ended server leaves a page that looks alive.
//
// Python is asked every two seconds if it still answers, but not while the tab is hidden or nobody
// uses it: whoever serves the page may then take its kernel back.

const PING_MS = 2000;
const LOST_MS = 5000;
const LOOK_MS = 500;
/** A server that does not answer for so long is away. */
const HEALTH_MS = 1500;
/** So long after the last touch nothing is asked any more. */
const UNUSED_MS = 10 * 60_000;
const TOUCHES = ["pointerdown", "pointermove", "keydown", "wheel"];

/** The address that says how the server is, or null in a host that has none. */
function healthAddress() {
  try {
    const config = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    return new URL(`${config.baseUrl}health`, window.location.href);
  } catch {
    return null;
  }
}

/** What is known of the server: {away}, {room, most}, or {} where it does not say. */
async function serverNow() {
  const address = healthAddress();
  if (!address) return {};
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), HEALTH_MS);
  try {
    const answer = await fetch(address, { cache: "no-store", signal: patience.signal });
    if (!answer.ok) return {};
    const found = await answer.json();
    return found && typeof found === "object" ? { there: true, room: found.room !== false } : {};
  } catch {
    return { away: true };
  } finally {
    clearTimeout(timer);
  }
}

function lostWords(server) {
  if (server.away) {
    return ["The server cannot be reached.",
      " Your connection may be broken, or the server is being restarted. It is tried again by itself."];
  }
  const full = server.there && !server.room ? " All places are taken at the moment, so you may have to wait." : "";
  if (server.there) {
    return ["The Python behind this page has ended.",
      ` It failed, took too much memory, or nobody had used it for long. Reload to start another and come back to where you are.${full}`];
  }
  return ["Python no longer answers.", " Reload to come back to where you are."];
}

function lostPanel(root, bus) {
  if (!bus.model.get("watched")) return;
  const reload = h("button", { class: "pv-button", type: "button", "data-testid": "reload",
    onclick: () => window.location.reload() }, "Reload");
  const what = h("strong");
  const why = h("span");
  const bar = h("div", { class: "pv-problem", "data-testid": "lost", hidden: true },
    h("span", { class: "pv-problem-sign", "aria-hidden": "true" }, "!"),
    h("div", { class: "pv-problem-body" }, h("p", null, what, why,
      " What is measured already still moves with the slider.")),
    reload);
  root.append(h("div", { role: "alert" }, bar));
  let asked = 0; // when the oldest question without an answer was put, 0 if there is none
  let pinged = -Infinity;
  let used = performance.now();
  let looking = false;
  const answer = (content) => {
    if (!content || !content.pong) return;
    asked = 0;
    setHidden(bar, true);
  };
  const say = async () => {
    if (looking) return;
    looking = true;
    const words = lostWords(await serverNow());
    looking = false;
    if (!asked) return; // it has answered meanwhile
    setText(what, words[0]);
    setText(why, words[1]);
    setHidden(bar, false);
  };
  const ask = () => {
    const now = performance.now();
    // A hidden tab's timers are slowed down; it asks when it is looked at again.
    if (document.hidden || now - used > UNUSED_MS) {
      asked = 0;
      return;
    }
    const lost = asked && now - asked >= LOST_MS;
    if (lost && bar.hidden) say();
    if (now - pinged < PING_MS) return;
    if (lost) say(); // perhaps with other words than before
    pinged = now;
    if (!asked) asked = now;
    bus.send("ping");
  };
  const touched = () => {
    used = performance.now();
  };
  const shown = () => {
    touched();
    ask();
  };
  const timer = setInterval(ask, LOOK_MS);
  for (const kind of TOUCHES) document.addEventListener(kind, touched, { passive: true, capture: true });
  document.addEventListener("visibilitychange", shown);
  bus.model.on("msg:custom", answer);
  bus.cleanup(() => {
    clearInterval(timer);
    for (const kind of TOUCHES) document.removeEventListener(kind, touched, { capture: true });
    document.removeEventListener("visibilitychange", shown);
    bus.model.off("msg:custom", answer);
  });
}
