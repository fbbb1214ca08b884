//! What the rows run over: TCP, or TLS throughout if the environment variable `OVER_TLS` is 1, which needs the feature
//! `tls`.

use super::common::run;
use super::peer::{Peer, PeerExt};
use super::{local, next_upgrade, requesting_peer};
use futures_lite::future;
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use ws_server_smol::{ClientConfig, ServerConfig, connect};

static OVER_TLS: LazyLock<bool> = LazyLock::new(|| {
    let value = std::env::var_os("OVER_TLS");
    let is_on = value.as_ref().is_some_and(|value| value == "1");
    assert!(value.is_none() || is_on, "{value:?}: OVER_TLS is 1 or not set");
    assert!(!is_on || cfg!(feature = "tls"), "OVER_TLS needs the feature tls");
    is_on
});

/// The scheme of this run: over TLS, `ws` becomes `wss`.
pub(super) fn scheme(plain: &str) -> String {
    format!("{plain}{}", if *OVER_TLS { "s" } else { "" })
}

/// The configuration of a server.
pub(super) fn server_config() -> ServerConfig {
    #[cfg(feature = "tls")]
    if *OVER_TLS {
        return ServerConfig::new().tls(over_tls::server());
    }
    ServerConfig::new()
}

/// The configuration of a client.
pub(super) fn client_config() -> ClientConfig {
    #[cfg(feature = "tls")]
    if *OVER_TLS {
        return ClientConfig::new().tls(over_tls::client());
    }
    ClientConfig::new()
}

/// A peer of a server. Over TLS its requests wait for its handshake, which its reads continue.
pub(super) fn peer_of(server: SocketAddr) -> Peer {
    #[cfg(feature = "tls")]
    if *OVER_TLS {
        return Peer::over(TcpStream::connect(server).unwrap(), over_tls::Layer::client());
    }
    Peer::connect(server)
}

/// A peer that is the server of the client with this socket.
pub(super) fn host_of(client: TcpStream) -> Peer {
    #[cfg(feature = "tls")]
    if *OVER_TLS {
        return Peer::over(client, over_tls::Layer::server());
    }
    Peer::new(client)
}

#[cfg(feature = "tls")]
mod over_tls {
    use std::io::{self, IoSlice};
    use std::net::TcpStream;
    use std::sync::LazyLock;
    use ws_kit::peer;
    use ws_server_smol::Config;
    use ws_server_smol::tls::{Identity, ServerTls, TlsClient, TlsLayer, TlsMode, TlsServer};

    static CERTIFICATE: LazyLock<[String; 2]> = LazyLock::new(|| ws_kit::chat::certificate().unwrap());

    pub(super) fn server() -> TlsServer {
        let [chain, key] = &*CERTIFICATE;
        TlsServer::new(Identity::from_pem(chain, key).unwrap()).unwrap()
    }

    pub(super) fn client() -> TlsClient {
        TlsClient::roots_only(&CERTIFICATE[0]).unwrap()
    }

    pub(super) struct Layer(TlsLayer);

    impl Layer {
        pub(super) fn client() -> Self {
            Self(TlsLayer::client(&client(), "localhost").unwrap())
        }

        pub(super) fn server() -> Self {
            Self(TlsLayer::server(ServerTls::new(server(), TlsMode::Only, &Config::server())))
        }
    }

    impl peer::Layer for Layer {
        fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(stream, buffer)
        }

        fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(stream, &[IoSlice::new(bytes)])
        }

        fn is_ready(&self) -> bool {
            !self.0.is_handshaking()
        }
    }
}

/// Both kinds of peers that the rows have: scripted ones, and the crate's own.
#[test]
fn connections_have_tls_exactly_if_the_rows_run_over_tls() {
    let server = local(server_config());
    run(async {
        let mut peer = requesting_peer(&server, "/");
        let (http, upgrade) = next_upgrade(&server, &mut peer).await;
        assert_eq!((upgrade.is_tls(), http.tls().is_some()), (*OVER_TLS, *OVER_TLS));
        let ws = http.accept(upgrade).await.unwrap();
        assert_eq!(ws.tls().is_some(), *OVER_TLS);
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "));

        let url = server.url("/").unwrap();
        assert!(url.starts_with(&format!("{}://", scheme("ws"))), "{url}");
        let accepting = async { server.accept().await.unwrap().upgrade().await.unwrap() };
        let (client, ws) = future::zip(connect(url, client_config()), accepting).await;
        assert_eq!((client.unwrap().tls().is_some(), ws.tls().is_some()), (*OVER_TLS, *OVER_TLS));
    });
}
