// Copies a text, such as a secret that is shown once.
function offerCopies() {
  for (const button of document.querySelectorAll("[data-copies]")) button.hidden = !navigator.clipboard;
}
document.addEventListener("page-shown", offerCopies);
document.addEventListener("click", async ({ target }) => {
  const id = target.dataset.copies;
  if (!id) return;
  const status = document.getElementById(`${id}-copied`);
  try {
    await navigator.clipboard.writeText(document.getElementById(id).innerText.trim());
    status.textContent = "Copied.";
  } catch {
    status.textContent = "Your browser does not allow it: mark the text and copy it.";
  }
});
offerCopies();

// A note confirms what was just done. It goes out of the address, so that it is not shown again when
// the page is loaded again.
const address = new URL(location.href);
if (["note", "restored"].some((name) => address.searchParams.has(name))) {
  for (const name of ["note", "restored", "changed", "number"]) address.searchParams.delete(name);
  history.replaceState(null, "", address);
}

// One box picks all rows of a page. Without script the rows are picked one by one.
const matching = document.querySelector("[data-counts]"); // it picks the rows of all pages
for (const all of document.querySelectorAll("[data-picks]")) {
  const boxes = [...document.querySelectorAll(`input[name="${all.dataset.picks}"]`)];
  const count = document.getElementById(`${all.dataset.picks}-count`);
  const show = () => {
    const picked = boxes.filter((box) => box.checked).length;
    all.checked = picked === boxes.length;
    all.indeterminate = picked > 0 && picked < boxes.length;
    if (count) count.textContent = matching?.checked ? "All that match are selected" : `${picked} selected`;
  };
  all.closest("[hidden]")?.removeAttribute("hidden");
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  for (const box of [all, ...boxes]) {
    box.addEventListener("change", () => {
      // Else a row that was taken out would be changed too.
      if (matching && !box.checked) matching.checked = false;
      show();
    });
  }
  matching?.addEventListener("change", show);
  show();
}

// The number of all that match is counted when somebody selects many: that may look at every account.
if (matching) {
  let counted;
  const showNumber = async () => {
    // An ended session leads to the sign-in page.
    const textOf = (answer) => (answer.ok && !answer.redirected ? answer.text() : "");
    counted ??= fetch(matching.dataset.counts).then(textOf);
    const number = await counted.catch(() => "");
    if (number) matching.labels[0].textContent = `Select all ${number} that match`;
  };
  for (const box of [matching, document.querySelector("[data-picks]")]) {
    box.addEventListener("change", showNumber);
  }
}

// A page that has found nothing in its time continues by itself, as long as somebody looks at it.
const further = document.querySelector("[data-further]");
const goFurther = () => {
  if (!document.hidden) location.replace(further.href);
};
if (further) {
  goFurther();
  document.addEventListener("visibilitychange", goFurther);
}

// "/" goes to the search, unless somebody is typing.
const find = document.getElementById("find");
for (const hint of document.querySelectorAll("[data-only-with-keys]")) hint.hidden = false;
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("textarea, select, input:not([type=checkbox], [type=radio])")) return;
  event.preventDefault();
  find.select();
});
