"""Starts the test server of each adapter for chromium.mjs."""

from programs import CERTIFICATES, TESTS, passes, server
from check import check, finish, not_run  # noqa: E402

for adapter in ("mio", "smol"):
    if not (CERTIFICATES / "home").exists():
        not_run(f"Chromium with TLS to ws-server-{adapter}", "certutil is not installed")
        continue
    # A browser without the root cannot load the page over TLS: there a page without TLS, whose origin the server
    # allows, opens the socket.
    with server(adapter, None) as plain, server(adapter, origin=f"http://{plain.authority}") as tls:
        urls = {"HTTPS_URL": f"https://{tls.authority}", "HTTP_URL": f"http://{plain.authority}"}
        command = ["node", TESTS / "tls" / "chromium.mjs"]
        home = str(CERTIFICATES / "home")
        check(f"Chromium, ws-server-{adapter}", lambda: passes(command, **urls, HOME_FOLDER=home))
finish("browsers with TLS")
