"""Chromium's virtual authenticators, which stand in for phones and security keys."""

from typing import Any

from playwright.sync_api import CDPSession, Page

#: WebAuthn.VirtualAuthenticatorOptions of the DevTools protocol
INTERNAL = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
USB = INTERNAL | {"transport": "usb"}
SYNCED = INTERNAL | {"defaultBackupEligibility": True, "defaultBackupState": True}

#: as in browsers that have no passkeys in fields
_WITHOUT_OFFER = """if (globalThis.PublicKeyCredential) {
  PublicKeyCredential.isConditionalMediationAvailable = undefined;
}"""


class Device:
    """A virtual authenticator, which a page has.

    Only the button of a page uses it, unless it is offered in the field of the email: there it
    signs in by itself as soon as the script of the page has run, also before a click.
    """

    def __init__(
        self, page: Page, options: dict[str, Any], *, offered_in_field: bool = False
    ) -> None:
        if not offered_in_field:
            page.add_init_script(_WITHOUT_OFFER)
        self._protocol: CDPSession = page.context.new_cdp_session(page)
        self._protocol.send("WebAuthn.enable")
        added = self._protocol.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self._id = added["authenticatorId"]

    def send(self, method: str, **values: Any) -> Any:
        return self._protocol.send(f"WebAuthn.{method}", {"authenticatorId": self._id, **values})

    def touches(self, *, by_itself: bool) -> None:
        """Let the user be there, or not: then the browser waits."""
        self.send("setAutomaticPresenceSimulation", enabled=by_itself)

    def credentials(self) -> list[Any]:
        return list(self.send("getCredentials")["credentials"])

    def replace(self, credential: dict[str, Any]) -> None:
        """Have a clone of a credential in its place, which has signed nothing yet."""
        self.send("removeCredential", credentialId=credential["credentialId"])
        self.send("addCredential", credential=credential | {"signCount": 0})


def add_passkey(page: Page, name: str = "Phone") -> None:
    """Create a passkey, from the account page."""
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create the passkey").click()
