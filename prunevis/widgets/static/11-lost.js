// Says when Python has gone: a killed kernel or an ended server leaves a page that looks alive.

const PING_MS = 4000;
const LOST_MS = 14000;

function lostPanel(root, bus) {
  if (!bus.model.get("watched")) return;
  const reload = h("button", { class: "pv-button", type: "button", "data-testid": "reload",
    onclick: () => window.location.reload() }, "Reload");
  const bar = h("div", { class: "pv-problem", "data-testid": "lost", hidden: true },
    h("span", { class: "pv-problem-sign", "aria-hidden": "true" }, "!"),
    h("div", { class: "pv-problem-body" }, h("p", null, h("strong", null, "Python no longer answers."),
      " What is measured already still moves with the slider; nothing new will come. Reload to start afresh.")),
    reload);
  root.append(h("div", { role: "alert" }, bar));
  let asked = 0; // when the oldest question without an answer was put, 0 if there is none
  const answer = (content) => {
    if (!content || !content.pong) return;
    asked = 0;
    setHidden(bar, true);
  };
  const ask = () => {
    // A hidden tab's timers are slowed down; it asks when it is looked at again.
    if (document.hidden) {
      asked = 0;
      return;
    }
    const now = performance.now();
    if (asked && now - asked > LOST_MS) setHidden(bar, false);
    if (!asked) asked = now;
    bus.send("ping");
  };
  const timer = setInterval(ask, PING_MS);
  bus.model.on("msg:custom", answer);
  bus.cleanup(() => {
    clearInterval(timer);
    bus.model.off("msg:custom", answer);
  });
}
