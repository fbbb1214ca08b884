use std::error::Error;
use ws_server_mio::http::StatusCode;
use ws_server_mio::tls::{SelfSigned, TlsMode, TlsServer, TrustPage};
use ws_server_mio::{Bind, Endpoint, Event, ServerConfig, web};

fn main() -> Result<(), Box<dyn Error>> {
    let (tls, ca) = TlsServer::self_signed(&SelfSigned::new("Film Club").lan())?;
    let config = ServerConfig::new().upgrade_paths(["/ws"]).decide_upgrades(true);
    let config = config.tls(tls).tls_mode(TlsMode::OrPlain);
    let config = ca.host_names().iter().fold(config, ServerConfig::allow_host);

    let mut endpoint = Endpoint::new()?;
    let connections = endpoint.connections();
    let server = connections.listen(Bind::lan(), config)?;
    let app = connections.server(server).local_addr().and_then(|address| ca.lan_http_url(address, "/"));
    let app = app.ok_or("this machine is on no network")?;
    let trust = app.replacen("https:", "http:", 1);
    println!("{app}\n{trust} explains how to trust it\nSHA-256: {}", ca.fingerprint());

    let page = TrustPage::new(&ca).link(app);
    Ok(endpoint.run(|connections, event| match event {
        Event::Request(id, request) if !request.is_tls() => {
            let response = page.respond(&request).unwrap_or_else(web::not_found);
            drop(connections.respond(id, request, response));
        }
        Event::Request(id, request) if request.path() == "/" => {
            drop(connections.respond(id, request, web::html("<h1>Film Club</h1>")));
        }
        // Anyone on the network could read and change it.
        Event::Upgrade(id, upgrade) if !upgrade.is_tls() => {
            drop(connections.respond(id, upgrade, web::status(StatusCode::FORBIDDEN)));
        }
        Event::Upgrade(id, upgrade) => drop(connections.accept(id, upgrade)),
        Event::Message(id, message) => drop(connections.send(id, message)),
        _ => {}
    })?)
}
