"use strict";

// The secret of a one-time link stands behind the `#` of the address, which browsers send to nobody.
// It goes into the form, and out of the address bar and the history.
const link = document.querySelector("[data-link]");
if (link && location.hash.length > 1) {
  link.querySelector("input").value = location.hash.slice(1);
  link.hidden = true;
  history.replaceState(null, "", location.pathname);
}

// Passwords can be shown where this runs; they are sent, and remembered by browsers, as passwords.
const reveal = document.querySelector("[data-reveal]");
if (reveal) {
  const box = reveal.querySelector("input");
  const show = () => {
    for (const field of document.querySelectorAll("[data-password]")) {
      field.type = box.checked ? "text" : "password";
    }
  };
  reveal.hidden = false;
  box.checked = false;
  box.addEventListener("change", show);
  box.form.addEventListener("submit", () => {
    box.checked = false;
    show();
  });
}
