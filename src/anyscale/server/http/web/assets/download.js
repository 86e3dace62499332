// Sends a form whose answer is a file with secrets, saves the file, and shows the page anew: it says
// what the server did. Without script the browser saves the file itself, and the page stays.
async function save(response) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = /filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1];
  link.click();
  URL.revokeObjectURL(link.href);
}

async function send(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
  if (response.headers.has("content-disposition")) {
    await save(response);
    // With the `#` of a link to a part of the page, the browser would only scroll to it.
    location.replace(form.dataset.download || location.pathname + location.search);
  } else if (response.redirected) {
    location.replace(response.url);
  } else {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    // Chromium complains of it on a page that has a focus already.
    for (const element of page.querySelectorAll("[autofocus]")) element.removeAttribute("autofocus");
    document.getElementById("main").replaceWith(page.getElementById("main"));
    document.querySelector(".message.problem")?.focus();
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (event.defaultPrevented || !form.hasAttribute("data-download")) return;
  event.preventDefault();
  // The answer to a second request would replace the page, and the file of the first one be lost.
  if (form.hasAttribute("aria-busy")) return;
  form.setAttribute("aria-busy", "true");
  try {
    await send(form, event.submitter);
  } catch {
    const broken = document.getElementById("broken"); // of the page that is shown now
    broken.hidden = false;
    broken.focus();
  } finally {
    form.removeAttribute("aria-busy");
  }
});
