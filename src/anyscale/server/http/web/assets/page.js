"use strict";

// The secret of a one-time link is after the `#` of the address: browsers send that part to nobody.
// It goes out of the address bar and the history, and into the form, whose answer says at once
// whether the link works. Only the next form uses the link up.
const link = document.querySelector("[data-link]");
const open = () => {
  // The page has links to its own parts, too.
  if (link && location.hash.length > 1 && !document.querySelector(":target")) {
    link.elements.link.value = location.hash.slice(1);
    link.hidden = true;
    history.replaceState(null, "", location.pathname);
    link.submit();
  }
};
addEventListener("hashchange", open);
open();

// Passwords can be shown where this runs; they are sent, and remembered by browsers, as passwords.
const reveal = document.querySelector("[data-reveal]");
const box = reveal?.querySelector("input");
const show = () => {
  for (const field of document.querySelectorAll("[data-password]")) {
    field.type = box.checked ? "text" : "password";
  }
};
if (reveal) {
  reveal.hidden = false;
  box.checked = false;
  box.addEventListener("change", show);
}

// A note confirms what was just done. It goes out of the address, so that it is not shown again when
// the page is loaded again.
const note = document.querySelector(".message.note");
if (note) {
  const address = new URL(location.href);
  for (const name of ["note", "restored"]) address.searchParams.delete(name);
  history.replaceState(null, "", address);
}

// A slip is shown before the form is sent, so that all fields keep their texts: the
// server never sends a password back. The server checks everything again.
const faultOf = (field) => {
  const { missing, short, same, differs } = field.dataset;
  if (missing && !field.value.trim()) return missing;
  if (short && [...field.value.normalize("NFC")].length < field.minLength) return short;
  return same && field.value !== document.getElementById(same).value ? differs : "";
};

const mark = (field, fault) => {
  const own = `${field.id}-problem`;
  const hint = (field.getAttribute("aria-describedby") ?? "")
    .split(" ").filter((id) => id && id !== own && id !== "problem-text");
  const ids = fault ? [...hint, own] : hint;
  for (const [name, value] of [["aria-describedby", ids.join(" ")], ["aria-invalid", fault && "true"]]) {
    value ? field.setAttribute(name, value) : field.removeAttribute(name);
  }
};

const linkTo = (field, fault) => {
  const link = document.createElement("a");
  link.href = `#${field.id}`;
  link.id = `${field.id}-problem`;
  link.textContent = fault;
  return link;
};

const check = (event) => {
  const fields = [...event.target.querySelectorAll("[data-missing]")];
  const faults = fields.map(faultOf);
  fields.forEach((field, at) => mark(field, faults[at]));
  const first = faults.findIndex(Boolean);
  if (first < 0) return;
  event.preventDefault();
  note?.remove();
  const problem = document.getElementById("problem");
  const links = fields.map((field, at) => faults[at] && linkTo(field, faults[at])).filter(Boolean);
  document.getElementById("problem-text").replaceChildren(...links.flatMap((one) => [one, " "]));
  problem.hidden = false;
  fields[first].focus();
};

for (const form of document.querySelectorAll("form[novalidate]")) {
  form.addEventListener("submit", check);
}
if (reveal) {
  box.form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    box.checked = false;
    show();
  });
}

// Copies the number of an error, or recovery codes.
const copy = document.querySelector("[data-copy]");
if (copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const text = document.getElementById(copy.dataset.copy).innerText;
    const status = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(text.trim());
      status.textContent = "Copied.";
    } catch {
      status.textContent = "Your browser does not allow it: mark the text and copy it.";
    }
  });
}

const print = document.querySelector("[data-print]");
if (print) {
  print.hidden = false;
  print.addEventListener("click", () => window.print());
}
