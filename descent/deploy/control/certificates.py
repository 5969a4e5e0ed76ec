"""The node's certificate: taken anew when its file changes, and trusted by commands beside it.

    certbot renews cert.pem → within 5 s new connections get it; those that are open go on

A renewal that does not fit together (half of it written, a key that belongs to another certificate)
is said in the log once and the old certificate stays. Left out: ACME (certbot and proxies do it),
client certificates.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

__all__ = ["follow", "pinned"]

PERIOD_S = 5.0
log = logging.getLogger("descent.deploy.node")


async def follow(
    context: ssl.SSLContext, certificate: Path, key: Path, period_s: float = PERIOD_S
) -> None:
    """Keep `context`, which a server uses, at what the two files say; until cancelled."""
    seen = _state(certificate, key)
    while True:
        await asyncio.sleep(period_s)
        now = _state(certificate, key)
        if now == seen:
            continue
        seen = now
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)  # a trial
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            log.error("%s is not used: %s; the old certificate stays", certificate, error)
        else:
            log.info("new certificate from %s", certificate)


def pinned(certificate: str | Path) -> ssl.SSLContext:
    """For a client on the node's own machine: this certificate and no other, whatever host it
    names, for it is asked at a loopback address. Raises OSError where there is no such file."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # its issuer need not be known
    return context


def _state(*files: Path) -> list[tuple[int, int, int] | None]:
    """Another where a file was written or a link was turned."""
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            told = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((told.st_ino, told.st_mtime_ns, told.st_size))
    return found
