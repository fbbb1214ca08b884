"""Our clients, of both adapters, through tinyproxy, Squid, Dante and microsocks, to our servers."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tls"))
from programs import BIN, CERTIFICATES, EXAMPLES, GUARD, OTHER, ROOT, Program, chain, contains, key, server  # noqa: E402
from check import check as checked, equal, finish, not_run  # noqa: E402

ADAPTERS = ["mio", "smol"]
USER, PASSWORD = "ann", "s3cret:@/"  # what a URL must encode
LOGIN, WRONG = "ann:s3cret%3A%40%2F@", "ann:wrong@"
FOLDER = Path(tempfile.mkdtemp())
FOLDER.chmod(0o777)
COUNT = 20


def check(name, body, *arguments, **options):
    checked(name, lambda: body(*arguments, **options))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")


def write(name, text):
    path = FOLDER / name
    path.write_text(text)
    return path


def until_it_listens(proxy, port):
    end = time.monotonic() + GUARD
    while time.monotonic() < end and proxy.popen.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return proxy
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"it does not listen: {proxy.last()}")


def tinyproxy(port, login):
    # A password of tinyproxy's configuration has no such characters.
    auth = f"BasicAuth {USER} plain\n" if login else ""
    config = write(
        f"tinyproxy-{port}.conf",
        f"Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nLogLevel Connect\n{auth}",
    )
    return [program("tinyproxy"), "-d", "-c", config]


def squid(port, login, tls=False):
    # It gives up the rights of root.
    for file in (chain(), key()):
        shutil.copy(file, FOLDER)
        (FOLDER / Path(file).name).chmod(0o644)
    listen = f"http_port 127.0.0.1:{port}"
    if tls:
        listen = f"http_port 127.0.0.1:{free_port()}\nhttps_port 127.0.0.1:{port} tls-cert={FOLDER}/{Path(chain()).name} tls-key={FOLDER}/{Path(key()).name}"
    rules = "http_access allow all"
    if login:
        secret = subprocess.run(
            ["openssl", "passwd", "-apr1", "-stdin"], input=PASSWORD, text=True, capture_output=True, check=True
        ).stdout.strip()
        users = write(f"squid-{port}.users", f"{USER}:{secret}\n")
        rules = (
            f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {users}\nauth_param basic children 1\n"
            "acl users proxy_auth REQUIRED\nhttp_access allow users\nhttp_access deny all"
        )
    config = write(
        f"squid-{port}.conf",
        f"{listen}\n{rules}\ncache deny all\nshutdown_lifetime 1 seconds\npid_filename none\npinger_enable off\n"
        f"access_log none\ncache_log {FOLDER}/squid.log\ncoredump_dir {FOLDER}\nvisible_hostname test\n",
    )
    return [program("squid"), "-N", "-f", config]


def dante(port, _):
    user = pwd.getpwuid(os.getuid()).pw_name
    config = write(
        f"dante-{port}.conf",
        f"logoutput: stdout\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\nsocksmethod: none\n"
        f"clientmethod: none\nuser.privileged: {user}\nuser.unprivileged: {user}\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 log: connect }\n",
    )
    return [program("danted"), "-f", config]


def microsocks(port, login):
    return [program("microsocks"), "-i", "127.0.0.1", "-p", str(port), *(["-u", USER, "-P", PASSWORD] if login else [])]


def client(adapter, url, options, **environment):
    """Runs a client until it is done; returns its output."""
    arguments = [BIN / f"client_{adapter}", url, COUNT, 3000, 4]
    clean = {name: "" for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY")}
    with Program(*arguments, OPTIONS=options, **{**clean, **environment}) as program:
        _, output = program.end()
    return output


def passes(adapter, url, options, **environment):
    contains(client(adapter, url, options, **environment), "open, 0 acknowledged", "done")


def fails(adapter, url, options, *parts):
    """It fails with this error, and does not try again."""
    output = client(adapter, url, options)
    contains(output, "failed: ", *parts)
    equal(sum(line.startswith("failed: ") for line in output.splitlines()), 1)


def example(url, proxy, ca):
    """The example `client` takes a proxy too."""
    with Program(EXAMPLES / "client", url, "--once", "--ca", ca, "--proxy", proxy) as program:
        program.wait_for(rb"connected")
        program.send("hello\n")
        program.wait_for(rb"hello")


def through(name, scheme, command, urls, login="", wrong="", proxy_ca=""):
    """All checks of one proxy, for both adapters."""
    port = free_port()
    with Program(*command(port, bool(login))) as proxy:
        until_it_listens(proxy, port)
        at = f"127.0.0.1:{port}" if scheme != "https://" else f"localhost:{port}"
        for adapter in ADAPTERS:
            for kind, url in urls.items():
                options = f"proxy={scheme}{login}{at} ca={ROOT}" + (f" proxy_ca={proxy_ca}" if proxy_ca else "")
                check(f"{adapter}: {kind} through {name}", passes, adapter, url, options)
                if login:
                    missing = f"proxy={scheme}{at} ca={ROOT}" + (f" proxy_ca={proxy_ca}" if proxy_ca else "")
                    check(
                        f"{adapter}: {kind} through {name} without credentials", fails, adapter, url, missing,
                        "requires a user name and a password",
                    )  # fmt: skip
                    bad = missing.replace(at, wrong + at)
                    check(
                        f"{adapter}: {kind} through {name} with wrong credentials", fails, adapter, url, bad,
                        "rejected the user name or the password",
                    )  # fmt: skip
            if proxy_ca:
                options = f"proxy={scheme}{login}{at} ca={ROOT} proxy_ca={OTHER}"
                check(f"{adapter}: {name} is not trusted", fails, adapter, urls["ws"], options, "the proxy's TLS failed")
        if scheme in ("http://", "socks5h://"):
            check(f"mio: the example through {name}", example, urls["wss"], f"{scheme}{login}{at}", ROOT)


with server("mio", kind=None) as plain, server("smol") as secure:
    urls = {"ws": f"ws://localhost:{plain.port}/ws", "wss": f"wss://localhost:{secure.port}/ws"}
    plans = [
        ("tinyproxy", "http://", tinyproxy, {}),
        ("tinyproxy with credentials", "http://", tinyproxy, {"login": "ann:plain@", "wrong": WRONG}),
        ("squid", "http://", squid, {}),
        ("squid with credentials", "http://", squid, {"login": LOGIN, "wrong": WRONG}),
        ("danted", "socks5h://", dante, {}),
        ("microsocks", "socks5h://", microsocks, {}),
        ("microsocks with credentials", "socks5h://", microsocks, {"login": LOGIN, "wrong": WRONG}),
    ]
    for name, scheme, command, options in plans:
        if program(name.split()[0]):
            through(name, scheme, command, urls, **options)
        else:
            not_run(name, "it is not installed")
    if program("squid"):
        secured = lambda port, login: squid(port, login, tls=True)  # noqa: E731
        # Built with GnuTLS, it sends the certificate alone.
        issuer = CERTIFICATES / "intermediate.pem"
        through("squid with TLS", "https://", secured, urls, login=LOGIN, wrong=WRONG, proxy_ca=issuer)

    # Nothing listens there.
    nowhere = f"http://127.0.0.1:{free_port()}"
    for adapter in ADAPTERS:
        variables = {"http_proxy": nowhere, "HTTPS_PROXY": nowhere}
        for kind, url in urls.items():
            check(
                f"{adapter}: {kind}, excepted by NO_PROXY", passes, adapter, url, f"proxy=env ca={ROOT}",
                NO_PROXY="other.example, localhost", **variables,
            )  # fmt: skip
            check(f"{adapter}: {kind}, the environment is not read unasked", passes, adapter, url, f"ca={ROOT}", **variables)
    if program("tinyproxy"):
        port = free_port()
        with Program(*tinyproxy(port, False)) as proxy:
            until_it_listens(proxy, port)
            variables = {"http_proxy": f"127.0.0.1:{port}", "HTTPS_PROXY": f"http://127.0.0.1:{port}"}
            for adapter in ADAPTERS:
                for kind, url in urls.items():
                    check(
                        f"{adapter}: {kind} through the proxy of the environment", passes, adapter, url,
                        f"proxy=env ca={ROOT}", NO_PROXY="other.example", **variables,
                    )  # fmt: skip
                    proxy.wait_for(rb"CONNECT localhost:\d+ ")
            refused = f"ws://localhost:{free_port()}/"

            def unavailable(adapter):
                # It is retried, so it does not end by itself.
                arguments = [BIN / f"client_{adapter}", refused, 1, 1, 1]
                with Program(*arguments, OPTIONS=f"proxy=127.0.0.1:{port}") as program:
                    program.wait_for(rb"failed: http://127\.0\.0\.1:\d+: the proxy answered 50\d")
                    program.wait_for(rb"failed: http://127\.0\.0\.1:\d+: the proxy answered 50\d")

            for adapter in ADAPTERS:
                check(f"{adapter}: a server that the proxy cannot reach is tried again", unavailable, adapter)

shutil.rmtree(FOLDER, ignore_errors=True)
finish("proxies")
