"""Every page: the scripts that it may run, and that nobody stores or frames it."""

import re

from tests.server.http.pages.requests import PUBLIC, Come, every_page, get

from anyscale.server.logo import Logo


def test_a_page_runs_scripts_from_our_own_files_only(come: Come) -> None:
    for answer in every_page(come()):
        policy = dict(
            part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == policy["style-src"] == policy["img-src"] == "'self'"
        assert ("script-src" in policy) == ("<script" in answer.text)
        assert policy.get("script-src", "'self'") == "'self'"
        assert not re.search(r"<script(?! src=)|<style|\s(style|on\w+)=|javascript:", answer.text)
        assert not re.search(r"(?:src|href)=\"(?!/|#)", answer.text)


def test_pages_may_not_be_stored_or_framed(come: Come) -> None:
    for answer in every_page(come()):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        names = [name.lower() for name in answer.headers]
        assert len(names) == len(set(names))


def test_hsts_is_sent_to_clients_with_tls_only(come: Come) -> None:
    jane = come()
    assert "strict-transport-security" not in get(jane, "/sign-in").headers
    answer = get(jane, "/sign-in", **{"X-Forwarded-Proto": "https"})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_hsts_is_sent_if_the_public_url_has_tls(come: Come) -> None:
    jane = come(public_url=PUBLIC)
    assert "strict-transport-security" in get(jane, "/sign-in").headers


def test_assets_with_a_hash_in_their_url_may_be_stored(come: Come) -> None:
    jane = come()
    page = get(jane, "/sign-in").text
    addresses = re.findall(r'"(/assets/[^"]+)"', page)
    assert {address.partition("?")[0] for address in addresses} == {
        "/assets/forms.js",
        "/assets/icon.svg",
        "/assets/page.css",
        "/assets/print.css",
        "/assets/page.js",
    }
    for address in addresses:
        assert "immutable" in get(jane, address).headers["cache-control"]
        assert get(jane, f"{address}0").headers["cache-control"] == "no-cache"
    kinds = [get(jane, address).headers["content-type"].partition(";")[0] for address in addresses]
    assert set(kinds) == {"image/svg+xml", "text/css", "text/javascript"}
    for other in ("page.py", "%2e%2e%2fpages.py", "..%2ftemplates%2fbase.html"):
        assert get(jane, f"/assets/{other}").status == 404


SCRIPTED = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def test_a_logo_is_on_every_page_in_place_of_the_name(come: Come) -> None:
    jane = come(organization="Müller & Töchter", logo=Logo(SCRIPTED, "image/svg+xml"))
    brands = {re.findall(r'<p class="brand">.*</p>', page.text)[0] for page in every_page(jane)}
    (brand,) = brands
    assert 'alt="Müller &amp; Töchter"' in brand
    assert "icon.svg" not in brand
    (address,) = re.findall(r'src="(/assets/logo\?v=[0-9a-f]{12})"', brand)

    logo = get(jane, address)
    assert (logo.body, logo.headers["content-type"]) == (SCRIPTED, "image/svg+xml")
    assert logo.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert get(jane, f"{address}0").headers["cache-control"] == "no-cache"
    assert get(come(), "/assets/logo").status == 404


def test_a_logo_that_is_opened_by_itself_runs_no_script(come: Come) -> None:
    logo = get(come(logo=Logo(SCRIPTED, "image/svg+xml")), "/assets/logo")
    policy = logo.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox"} < set(policy)
    assert not [rule for rule in policy if rule.startswith("script-src") or "allow-" in rule]
    assert logo.headers["x-content-type-options"] == "nosniff"


def test_the_name_of_the_organization_is_on_every_page(come: Come) -> None:
    jane = come(organization="Müller & Töchter")
    for answer in every_page(jane):
        assert re.search(r"<title>[^<]* \N{EN DASH} Müller &amp; Töchter</title>", answer.text)
        assert re.search(r'<p class="brand">.*>Müller &amp; Töchter</span></p>', answer.text)
    assert "your account at Müller &amp; Töchter." in get(jane, "/").text
