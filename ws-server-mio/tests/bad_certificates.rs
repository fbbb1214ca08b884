//! Bad certificates of each kind through real sockets: what a client reports, and what a server.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::time::{Duration, Instant};
use ws_kit::tls::ends::Role;
use ws_kit::tls::{Authority, bad_certificates};
use ws_server_mio::tls::{ClientCertificates, Identity, TlsAlert, TlsClient, TlsError, TlsServer};
use ws_server_mio::{
    Bind, ClientConfig, ClientState, ConnectError, Endpoint, Error, Event, Reconnect, ServerConfig,
};

/// Longer than any test takes, unless it hangs.
const HANG: Duration = Duration::from_secs(60);

/// What one attempt to connect ends with.
struct Outcome {
    client: TlsError,
    /// Whether the client tries again.
    is_retried: bool,
    /// Of the connection that the server names.
    server: TlsError,
}

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
        let server = TlsServer::new(Identity::from_rustls(bad.presented)).unwrap();
        let outcome = attempt(server, TlsClient::roots_only(&bad.root).unwrap());
        assert_eq!(outcome.client, bad.expected);
        assert!(outcome.client.to_string().contains(bad.remedy), "{}", outcome.client);
        assert_eq!(outcome.is_retried, ["expired", "not yet valid", "with another key"].contains(&bad.kind));
        let told = bad
            .alert
            .map_or(TlsError::Truncated, |alert| TlsError::ServerCertificateRejected(TlsAlert(alert)));
        assert_eq!(outcome.server, told);
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
        let outcome = attempt(server, client.identity(Identity::from_rustls(bad.presented)));
        assert_eq!(outcome.server, bad.expected);
        assert!(outcome.server.to_string().contains(bad.remedy), "{}", outcome.server);
        let alert = bad.alert.unwrap();
        let told = match alert {
            116 => TlsError::ClientCertificateMissing,
            alert => TlsError::ClientCertificateRejected(TlsAlert(alert)),
        };
        assert_eq!(outcome.client, told);
        assert_eq!(outcome.is_retried, alert == 45);
    }
}
