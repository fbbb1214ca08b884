//! Bad certificates of each kind through real sockets: what a client reports, and what a server.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use futures_lite::future::zip;
use std::time::Duration;
use ws_kit::tls::ends::Role;
use ws_kit::tls::{Authority, Outcome, bad_certificates};
use ws_server_smol::tls::{ClientCertificates, Identity, TlsClient, TlsServer};
use ws_server_smol::{
    Bind, Client, ClientConfig, ClientEvent, ConnectError, Error, Reconnect, Server, ServerConfig, block_on,
};

fn attempt(server: TlsServer, client: TlsClient) -> Outcome {
    let config = ServerConfig::new().tls(server).report_all_closes(true);
    let server = Server::bind(Bind::localhost(), config).unwrap();
    let url = server.url("/").unwrap();
    let wait = Duration::from_secs(100);
    // By its address: a name may have two, of which the client tries both.
    let client = client.server_name("localhost").unwrap();
    let config = ClientConfig::new().tls(client).reconnect(Reconnect::new().wait(wait, wait));
    let connecting = async {
        let mut client = Client::new(&*url, config).unwrap();
        assert!(matches!(client.next_event().await, Some(ClientEvent::Connecting)));
        let error = match client.next_event().await {
            Some(ClientEvent::ConnectFailed(ConnectError::Tls(error))) => error.clone(),
            Some(ClientEvent::ConnectFailed(error)) => panic!("{error}"),
            _ => panic!("it is open"),
        };
        (error, matches!(client.next_event().await, Some(ClientEvent::Reconnecting { .. })))
    };
    let serving = async {
        let mut http = server.accept().await.unwrap();
        assert!(http.next().await.is_none(), "a request");
        match &http.closed().unwrap().error {
            Some(Error::Tls(error)) => error.clone(),
            other => panic!("{other:?}"),
        }
    };
    let ((client, is_retried), of_server) = block_on(zip(connecting, serving));
    assert_eq!(server.stats().tls_failed, 1);
    Outcome { client, is_retried, server: of_server }
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
