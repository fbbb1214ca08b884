//! Bad certificates of each kind through real sockets: what a client reports, and what a server.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::time::{Duration, Instant};
use ws_kit::tls::ends::Role;
use ws_kit::tls::{Authority, Outcome, bad_certificates};
use ws_server_mio::tls::{ClientCertificates, Identity, TlsClient, TlsServer};
use ws_server_mio::{
    Bind, ClientConfig, ClientState, ConnectError, Endpoint, Error, Event, Reconnect, ServerConfig,
};

/// Longer than any test takes, unless it hangs.
const HANG: Duration = Duration::from_secs(60);

fn attempt(server: TlsServer, client: TlsClient) -> Outcome {
    let mut endpoint = Endpoint::new().unwrap();
    let connections = endpoint.connections();
    let config = ServerConfig::new().tls(server).report_all_closes(true);
    let listening = connections.listen(Bind::localhost(), config).unwrap();
    let url = connections.server(listening).url("/").unwrap();
    let wait = HANG * 2;
    // By its address: a name may have two, of which the client tries both.
    let client = client.server_name("localhost").unwrap();
    let config = ClientConfig::new().tls(client).reconnect(Reconnect::new().wait(wait, wait));
    let client = connections.connect(url.as_str(), config).unwrap();
    let start = Instant::now();
    let (mut failure, mut end) = (None, None);
    while failure.is_none() || end.is_none() {
        assert!(start.elapsed() < HANG, "it hangs");
        let handler = |connections: &mut ws_server_mio::Connections, event: Event<'_>| match event {
            Event::ConnectFailed { error, .. } => {
                failure = Some((error, connections.client(client).state()));
            }
            Event::Closed(id, closed) if connections.client_of(id).is_none() => end = Some(closed.error),
            Event::Open(..) => panic!("it is open"),
            _ => {}
        };
        endpoint.poll(Some(Duration::from_millis(20)), handler).unwrap();
    }
    assert_eq!(endpoint.connections().stats().tls_failed, 1);
    let (client, state) = failure.unwrap();
    let ConnectError::Tls(client) = client else { panic!("{client}") };
    let Some(Some(Error::Tls(server))) = end else { panic!("{end:?}") };
    Outcome { client, is_retried: state == ClientState::Waiting, server }
}

#[test]
fn a_client_reports_each_bad_certificate_of_a_server_and_the_server_that_it_was_rejected() {
    for bad in bad_certificates(Role::Client) {
        println!("{}", bad.kind);
        let server = TlsServer::new(Identity::from_rustls(bad.presented.clone())).unwrap();
        bad.must_be_reported_by_the_client(&attempt(server, TlsClient::roots_only(&bad.root).unwrap()));
    }
}

#[test]
fn a_server_names_the_connection_of_each_bad_certificate_and_the_client_that_it_was_rejected() {
    let authority = Authority::new("server's");
    let [chain, key] = authority.issue(&["localhost"], |_| {});
    for bad in bad_certificates(Role::Server) {
        println!("{}", bad.kind);
        let server = TlsServer::from_pem(&chain, &key).unwrap();
        let server = server.client_certificates(&bad.root, ClientCertificates::Required).unwrap();
        let client = TlsClient::roots_only(authority.pem()).unwrap();
        let client = client.identity(Identity::from_rustls(bad.presented.clone()));
        bad.must_be_reported_by_the_server(&attempt(server, client));
    }
}
