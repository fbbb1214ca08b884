use std::error::Error;
use ws_server_mio::tls::{SelfSigned, TlsServer, TrustPage};
use ws_server_mio::{Bind, Endpoint, Event, ServerConfig, web};

fn main() -> Result<(), Box<dyn Error>> {
    // Reads and writes files: before the loop.
    let (tls, ca) = TlsServer::self_signed(&SelfSigned::new("Film Club").lan())?;
    let mut config = ServerConfig::new().upgrade_paths(["/ws"]).tls(tls);
    // Without TLS: only the page that explains how to trust the CA, and no WebSockets.
    let mut without_tls = ServerConfig::new().upgrade_paths([""; 0]);
    for name in ca.host_names() {
        config = config.allow_host(name);
        without_tls = without_tls.allow_host(name);
    }

    let mut endpoint = Endpoint::new()?;
    let connections = endpoint.connections();
    let app = connections.listen(Bind::lan(), config)?;
    // A link that the certificate names.
    let app = connections.server(app).local_addr().and_then(|address| ca.lan_http_url(address, "/"));
    let app = app.ok_or("this machine is on no network")?;
    let trust = connections.listen(Bind::lan(), without_tls)?;
    let trust = connections.server(trust).lan_http_url("/").unwrap_or_default();
    println!("{app}\n{trust} explains how to trust it\nSHA-256: {}", ca.fingerprint());

    let page = TrustPage::new(&ca).link(app);
    Ok(endpoint.run(|connections, event| match event {
        Event::Request(id, request) if request.tls().is_none() => {
            let response = page.respond(&request).unwrap_or_else(web::not_found);
            drop(connections.respond(id, request, response));
        }
        Event::Request(id, request) if request.path() == "/" => {
            drop(connections.respond(id, request, web::html("<h1>Film Club</h1>")));
        }
        Event::Message(id, message) => drop(connections.send(id, message)),
        _ => {}
    })?)
}
