// Passkeys: a form has the options of the browser's call, and its hidden field takes the answer. No
// other request is sent.

const octetsOf = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));

const textOf = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const withOctets = (known) => known.map((one) => ({ ...one, id: octetsOf(one.id) }));

const optionsOf = (form) => {
  const options = JSON.parse(form.dataset.passkey);
  options.challenge = octetsOf(options.challenge);
  if (options.user) options.user.id = octetsOf(options.user.id);
  for (const name of ["allowCredentials", "excludeCredentials"]) {
    if (options[name]) options[name] = withOctets(options[name]);
  }
  return options;
};

// By hand: `toJSON` is missing in some browsers, and in objects that password managers give instead.
const answerOf = ({ rawId, response }) => {
  const common = { id: textOf(rawId), client_data: textOf(response.clientDataJSON) };
  return response.attestationObject
    ? {
      ...common,
      attestation: textOf(response.attestationObject),
      transports: response.getTransports?.() ?? [],
    }
    : {
      ...common,
      authenticator_data: textOf(response.authenticatorData),
      signature: textOf(response.signature),
      user_handle: response.userHandle ? textOf(response.userHandle) : "",
    };
};

const PROBLEMS = {
  InvalidStateError: "This device has a passkey for your account already.",
  NotAllowedError: "No passkey was chosen, or it took too long. Try once more.",
  SecurityError: "Your browser allows no passkeys at this address. Ask your administrator.",
};

const tell = (form, error) => {
  const problem = form.querySelector("[role=alert]");
  problem.hidden = !error;
  problem.textContent = error && (PROBLEMS[error.name] ?? "Your browser could not use a passkey.");
};

const send = (form, credential) => {
  form.elements.passkey.value = JSON.stringify(answerOf(credential));
  form.requestSubmit();
};

// The browser allows one call at a time: the button ends the offer in the field of the email.
let offer = new AbortController();

const ask = async (form) => {
  offer.abort();
  tell(form, "");
  const publicKey = optionsOf(form);
  const call = publicKey.user ? "create" : "get";
  try {
    send(form, await navigator.credentials[call]({ publicKey }));
  } catch (error) {
    tell(form, error);
  }
};

const offerInField = async (form) => {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  const options = { publicKey: optionsOf(form), mediation: "conditional", signal: offer.signal };
  try {
    send(form, await navigator.credentials.get(options));
  } catch {
    // Nobody has asked for it: the button and the password are still there.
  }
};

const form = document.querySelector("form[data-passkey]");
if (form && globalThis.PublicKeyCredential) {
  form.hidden = false;
  document.querySelector("[data-without-passkeys]")?.remove();
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented || form.elements.passkey.value) return;
    event.preventDefault();
    ask(form);
  });
  // A page that comes back from the cache of the browser has an answer that was sent.
  addEventListener("pageshow", () => {
    form.elements.passkey.value = "";
  });
  if ("autofill" in form.dataset) offerInField(form);
}
