//! tokio-tungstenite: its example `echo-server`, over tokio-rustls as the example `server` of that crate. A message to
//! all goes through a `broadcast` channel of tokio.

use super::{Certificate, announce};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::broadcast::{self, Sender};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

pub fn serve(certificate: Certificate<'_>) -> Result<(), Box<dyn Error>> {
    let acceptor = certificate.map(acceptor).transpose()?;
    Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr().ok())?;
        let (room, _) = broadcast::channel(1024);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (acceptor, room) = (acceptor.clone(), room.clone());
            tokio::spawn(async move {
                match acceptor {
                    None => connection(stream, room).await,
                    Some(acceptor) => connection(acceptor.accept(stream).await?, room).await,
                }
            });
        }
    })
}

fn acceptor((chain, key): (&str, &str)) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    room: Sender<Message>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut in_room = false;
    #[allow(clippy::result_large_err)] // the type of its answer
    let callback = |request: &Request, response: Response| {
        in_room = request.uri().path() == "/broadcast";
        Ok(response)
    };
    let (mut write, mut read) = tokio_tungstenite::accept_hdr_async(stream, callback).await?.split();
    if !in_room {
        let messages = read.try_filter(|message| future::ready(message.is_text() || message.is_binary()));
        return Ok(messages.forward(write).await?);
    }
    let mut messages = room.subscribe();
    loop {
        tokio::select! {
            message = read.next() => match message.transpose()? {
                Some(message) if message.is_text() || message.is_binary() => drop(room.send(message)),
                Some(_) => {}
                None => return Ok(()),
            },
            message = messages.recv() => write.send(message?).await?,
        }
    }
}
