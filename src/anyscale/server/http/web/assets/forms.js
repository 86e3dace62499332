// A form is sent once: a second click while its answer is on the way sends nothing. The buttons stay
// enabled, since a disabled one loses the focus, and is not sent with its value. A user who stopped
// the loading can send the form again after a while: the server takes each form once anyway.
const AGAIN_MILLISECONDS = 10000;

let sent = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  // Another listener has stopped it: to show a mistake, or to send it in its own way.
  if (event.defaultPrevented || form.method !== "post") return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  sent.add(form);
  setTimeout(() => sent.delete(form), AGAIN_MILLISECONDS);
});
// The page came back from the cache of the browser.
addEventListener("pageshow", () => {
  sent = new WeakSet();
});
