// The line to Python. A host takes it down before the page itself is gone: on a page for visitors it
// disposes of the kernel's connection in `beforeunload`, while timers, keys and pings still run.

/** The line of `model`: whether what is sent has a way out; `leaving` is called before the page goes. */
function lineOf(model, leaving) {
  // The connection that the model was made on; hosts that show none are believed to be there. One
  // that only reconnects keeps what it is given and sends it then.
  let kernel = null;
  try {
    kernel = model.widget_manager.kernel;
  } catch {
    // no manager in this host
  }
  window.addEventListener("beforeunload", leaving);
  window.addEventListener("pagehide", leaving);
  return {
    open: () => !(kernel && kernel.isDisposed),
    close() {
      window.removeEventListener("beforeunload", leaving);
      window.removeEventListener("pagehide", leaving);
    },
  };
}
