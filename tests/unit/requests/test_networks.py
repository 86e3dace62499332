"""The networks of an address, for the rate limit."""

import pytest

from anyscale.server.core.login.networks import site_of, subscriber_of


@pytest.mark.parametrize(
    ("address", "subscriber", "site"),
    [
        ("192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("::1", "::/64", "::/48"),
        ("", "", ""),
        ("a socket", "a socket", "a socket"),
        ("192.0.2.256", "192.0.2.256", "192.0.2.256"),
        ("192.0.2.1, 192.0.2.2", "192.0.2.1, 192.0.2.2", "192.0.2.1, 192.0.2.2"),
    ],
)
def test_an_address_belongs_to_its_networks(address: str, subscriber: str, site: str) -> None:
    assert (subscriber_of(address), site_of(address)) == (subscriber, site)
