# SPDX-License-Identifier: Apache-2.0
"""
Where a link of a vendor may lead.

A vendor's response names links that a worker then opens, and a worker can reach more than the vendor can: the
metadata service of its cloud, databases, other hosts. So a link may lead to a public address only, unless the vendor's
API is itself in the private network, or the connection allows it. What counts is the address that is connected to,
checked at the connection itself: a name can resolve differently the second time.
"""

from __future__ import annotations

import logging
import socket
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from airflow_video_providers.api.paths import origin_of
from airflow_video_providers.exceptions import SourceLinkRefusedError
from airflow_video_providers.text.redaction import clean_text, is_clean

log = logging.getLogger(__name__)

_LOCAL_NAMES = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "test", "svc")
_NAT64 = ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ip_network("2000::/3")
_SPECIAL = ip_network("192.0.0.0/24")  # not all of it is known to each version of Python
# Of clouds, outside of the link-local range: AWS, Alibaba, Oracle, and Azure, whose is even in a public network.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")))
_LONGEST_LINK = 16 * 1024
_ADVICE = (
    "links of a public vendor are not followed there. If it is meant to, set the connection's extra "
    "allow_private_links to true"
)

Address = IPv4Address | IPv6Address


class LinkPolicy:
    """
    Decides which links may be opened; one object serves all threads of a connection.

    :param api_url: base URL of the vendor's API. Where it is in the private network itself, so may the links be; where
        it is not, they may not.
    :param allow_private: the connection allows any address.
    """

    def __init__(self, api_url: str, *, allow_private: bool = False) -> None:
        self._api_url = api_url
        self._home = origin_of(api_url)
        self.allow_private = allow_private
        self._lock = threading.Lock()
        self._api_is_private: bool | None = None

    def applies_to(self, url: str) -> bool:
        """Tell whether a URL is a link, not a call to the API's own origin."""
        try:
            return origin_of(url) != self._home
        except ValueError:
            return True

    def check(self, link: str) -> None:
        """
        Check what can be told without resolving a name: the link's form, its scheme, and an address in place of a name.

        :raises SourceLinkRefusedError: the link must not be opened.
        """
        parts = _split(link)
        address = _literal(parts.hostname or "")
        if address is not None:
            self.check_address(str(address), host=parts.hostname or "")
        elif (parts.hostname or "").rstrip(".").rpartition(".")[2].lower() == "localhost":
            self.check_address("127.0.0.1", host=parts.hostname or "")

    def check_name(self, link: str) -> None:
        """
        Check a link whose name a proxy will resolve: one that only private networks have is not public.

        :raises SourceLinkRefusedError: it is such a name, and neither is the API's nor does the connection allow it.
        """
        if is_local(link) and not (self.allow_private or is_local(self._api_url) or self._is_api_private()):
            host = clean_text(urlsplit(link).hostname, longest=200)
            raise SourceLinkRefusedError(f"the link leads to {host}, which is a name of a private network; {_ADVICE}")

    def check_address(self, address: str, *, host: str) -> None:
        """
        Check an address that is about to be connected to.

        :param host: the name that it was resolved from, for the message.
        :raises SourceLinkRefusedError: it is not public, and neither is the API nor does the connection allow it.
        """
        parsed = _parse(address)
        if parsed is None or self.allow_private or _is_public(parsed):
            return
        if not parsed.is_link_local and parsed not in _METADATA and self._is_api_private():
            return
        raise SourceLinkRefusedError(
            f"the link leads to {clean_text(host, longest=200)}, which is the private address {parsed}; {_ADVICE}"
        )

    def _is_api_private(self) -> bool:
        with self._lock:
            if self._api_is_private is None:
                self._api_is_private = _resolves_privately(urlsplit(self._api_url).hostname or "")
            return self._api_is_private


def is_local(url: str) -> bool:
    """Tell by its name or literal address alone whether a URL's host is in a private network."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    address = _literal(host)
    if address is not None:
        return not _is_public(address)
    return "." not in host or host.rpartition(".")[2] in _LOCAL_NAMES


def _split(link: str) -> SplitResult:
    if len(link) > _LONGEST_LINK or link != link.strip() or not is_clean(link):
        raise SourceLinkRefusedError("the link holds blanks or control characters at its ends, or is too long")
    try:
        parts = urlsplit(link)
        _ = parts.port  # raises where it is none
    except ValueError:
        raise SourceLinkRefusedError("the link is malformed") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        scheme = clean_text(parts.scheme, longest=30) or "relative"
        raise SourceLinkRefusedError(f"the link is no http or https link but {scheme}")
    return parts


def _literal(host: str) -> Address | None:
    """Return the address that a host is in place of a name, in any form that a resolver takes, such as ``0x7f.1``."""
    host = host.rstrip(".")
    if (address := _parse(host)) is not None:
        return address
    try:
        return IPv4Address(socket.inet_aton(host)) if host[-1:].isalnum() and host[:1].isdigit() else None
    except (OSError, ValueError):
        return None


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None:
            return _is_public(address.sixtofour)
        return address.is_global and address in _GLOBAL_UNICAST
    return address.is_global and not address.is_multicast and address not in _SPECIAL and address not in _METADATA


def _resolves_privately(host: str) -> bool:
    try:
        found = {_parse(str(info[4][0])) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(address is not None and not _is_public(address) for address in found)
