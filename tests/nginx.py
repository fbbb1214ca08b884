"""The configuration of nginx as a reverse proxy for WebSockets, which keeps its files in a folder."""

KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def reverse_proxy(folder, servers, main=""):
    """Returns the configuration: `servers` and their settings go into its `http` block, `main` before it."""
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in KINDS)
    return f"""
    {main}
    daemon off; master_process off; pid {folder}/pid; error_log stderr emerg;
    events {{}}
    http {{
        access_log off;
        {paths}
        map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        {servers}
    }}
    """
