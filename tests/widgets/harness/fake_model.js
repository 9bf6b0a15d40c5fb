// A stand-in for the model that anywidget hands to render(): it keeps what is sent, and answers nothing
// by itself, so that whatever changes on the page without an answer was done by the page.

function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value && typeof value === "object") {
    if (typeof value.__bytes__ === "string") {
      return new DataView(Uint8Array.from(atob(value.__bytes__), (c) => c.charCodeAt(0)).buffer);
    }
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)]));
  }
  return value;
}

function fakeModel(slices) {
  const state = revive({ position: 0, ...slices });
  const listeners = {};
  return {
    sent: [],
    saves: 0,
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      for (const fn of [...(listeners[`change:${name}`] || [])]) fn();
    },
    publish(next) {
      for (const [name, value] of Object.entries(revive(next))) this.set(name, value);
    },
    on: (name, fn) => (listeners[name] = listeners[name] || []).push(fn),
    off: (name, fn) => (listeners[name] = (listeners[name] || []).filter((other) => other !== fn)),
    save_changes() {
      this.saves += 1;
    },
    send(message) {
      this.sent.push(message);
    },
    listening: () => Object.values(listeners).reduce((n, list) => n + list.length, 0),
  };
}
