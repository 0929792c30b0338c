"""The handler that calls a web server: where it may go, how many calls at once, and what an error may tell."""

import asyncio
import ipaddress
import socket
from contextlib import AbstractAsyncContextManager
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import httpx

from scheduler.jobs import Job, PermanentError
from scheduler.worker.payload import fields_of

if TYPE_CHECKING:
    from scheduler.app import App

HTTP_SECONDS = 10
HTTP_BYTES = 1024 * 1024
MOST_CALLS = 100
LARGEST_PORT = 65_535


async def http_call(app: "App", job: Job) -> None:
    """Sends `{"url": "https://…", "method": "GET", "json": …}`; any status but 2xx is an error.

    Only http and https, and no private or loopback address unless HTTP_CALL_ALLOW_PRIVATE is set: whoever may submit
    a job must not reach what only this host may reach. Redirects are not followed. At most 1 MiB is read, in 10 s.
    """
    fields = fields_of(job)
    url = _checked_url(fields.get("url"))
    method = str(fields.get("method", "GET")).upper()
    if method not in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}:
        raise PermanentError(f"method must be GET, HEAD, POST, PUT, PATCH or DELETE, not {method}")
    address = await _checked_address(url, app.settings.http_call_allow_private)
    # The time begins when the call does: who waits for others to end is not slow.
    async with (
        app.http.turn,
        asyncio.timeout(HTTP_SECONDS),
        app.http.send(method, url, address, fields.get("json"), str(job.task_id)) as response,
    ):
        await _read_limited(response)
    if response.is_success:
        return
    # The path of a webhook is often its password, so an error names the host alone.
    answered = f"{method} {url.scheme}://{url.netloc.decode()} answered {response.status_code}"
    # The request itself is wrong, unless the server asks for patience.
    if 400 <= response.status_code < 500 and response.status_code not in (408, 425, 429):
        raise PermanentError(answered)
    raise RuntimeError(answered)


class HttpClient:
    """The one client of an app. To make one takes 50 ms of processor, most of it for reading certificates."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self.turn = asyncio.Semaphore(MOST_CALLS)
        """Held by each call while it is under way."""

    def send(
        self, method: str, url: httpx.URL, address: str, json: Any, key: str
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """Send a request to this address, which the URL's host was found to have; its answer is read in the block."""
        if self._client is None:
            self._client = _make_client()
        return self._client.stream(
            method,
            # The address that was checked: a name could point elsewhere when it is looked up a second time.
            url.copy_with(host=address),
            json=json,
            headers={"Host": url.netloc.decode(), "Idempotency-Key": key},
            extensions={"sni_hostname": url.host},
        )

    async def close(self) -> None:
        """End what is under way, and close every connection."""
        if self._client is not None:
            await self._client.aclose()


def _make_client() -> httpx.AsyncClient:
    """A client that carries nothing from one call to the next.

    It knows hosts by their addresses alone, and many hosts may share one. So no connection is kept, for on it one host
    has shown its certificate, and not the other; and no cookie.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None, limits=limits)
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


def _checked_url(text: Any) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (TypeError, httpx.InvalidURL):
        raise PermanentError(
            'url must be an http or https address, such as "https://example.com/hook"'
        ) from None
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > LARGEST_PORT:
        raise PermanentError('url must be an http or https address, such as "https://example.com/hook"')
    return url


async def _checked_address(url: httpx.URL, allow_private: bool) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise RuntimeError(f"the host {url.host} can't be found") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_private and not all(_is_public(address) for address in addresses):
        raise PermanentError(
            f"the host {url.host} has a private address; HTTP_CALL_ALLOW_PRIVATE=true allows it"
        )
    return addresses[0]


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    if carried := ip.ipv4_mapped or ip.sixtofour or _in_last_bytes(ip):
        return _is_public(str(carried))
    # What is not listed is refused: IPv6 has many forms that lead into the host or its network, and gets new ones.
    return ip in UNICAST and ip.is_global


UNICAST = ipaddress.IPv6Network("2000::/3")
"""Where every ordinary address of the internet is."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""A gateway's addresses; the last four bytes are the IPv4 address that it leads to."""
ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
"""The four bytes before an IPv4 address that a tunnel leads to, whatever network comes before them."""


def _in_last_bytes(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    leads_there = ip in NAT64 or ip.packed[8:12] in ISATAP
    return ipaddress.IPv4Address(ip.packed[-4:]) if leads_there else None


async def _read_limited(response: httpx.Response) -> None:
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > HTTP_BYTES:
            raise PermanentError(f"the answer is larger than {HTTP_BYTES} bytes")
