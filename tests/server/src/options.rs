//! Options from the environment: `OPTIONS="message_limit=65536 output=2000 heartbeat=500/500"`. Times are in
//! milliseconds; anything else has the library's default.

use std::error::Error;
use std::time::Duration;
use ws_host::client::ClientConfig;
use ws_host::listen::Bind;
use ws_host::proxy::Proxy;
use ws_host::server::ServerConfig;
use ws_host::token::Token;
use ws_host::trusted_proxy::Via;
use ws_proto::{Config, Cors, Heartbeat};

/// Returns a server's listen address and configuration.
pub fn server() -> Result<(Bind, ServerConfig), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let mut bind = Bind::localhost();
    let mut config = ServerConfig::new();
    for (name, value) in pairs(&std::env::var("OPTIONS").unwrap_or_default())? {
        match name {
            "bind" if value == "any" => bind = Bind::any(),
            "cors" => config = config.cors(Cors::new().origin(value)),
            "origin" => config = config.allow_origin(value),
            "token" => config = config.require_token(Token::from_random([7; 16])),
            // trust=ADDRESS,KIND
            "trust" => {
                let (address, kind) = value.split_once(',').ok_or("trust=ADDRESS,KIND")?;
                let kinds =
                    [("list", Via::Forwarded), ("fields", Via::XForwarded), ("header", Via::ProxyProtocol)];
                let via =
                    kinds.into_iter().find(|(name, _)| *name == kind).ok_or("list, fields or header")?.1;
                config = config.trust_proxy([address], via);
            }
            "host" => config = config.allow_host(value),
            "max_connections" => config = config.max_connections(value.parse()?),
            "max_handshakes" => config = config.max_handshakes(value.parse()?),
            #[cfg(feature = "tls")]
            "tls" => {
                let (chain, key) = value.split_once(',').ok_or("tls=CHAIN,KEY")?;
                config = config.tls(ws_host::tls::TlsServer::from_files(chain, key)?);
            }
            #[cfg(feature = "tls")]
            "local_ca" => {
                let certificates = ws_host::tls::SelfSigned::new("test").folder(value);
                config = config.tls(ws_host::tls::TlsServer::self_signed(&certificates)?.0);
            }
            _ => {
                let settings = connection(config.get_connection().clone(), name, value)?;
                config = config.connection(settings);
            }
        }
    }
    Ok((bind.port(port), config))
}

/// Returns a client's configuration.
pub fn client() -> Result<ClientConfig, Box<dyn Error>> {
    let mut config = ClientConfig::new();
    for (name, value) in pairs(&std::env::var("OPTIONS").unwrap_or_default())? {
        match name {
            #[cfg(feature = "tls")]
            "ca" => config = config.tls(ws_host::tls::TlsClient::roots_only(std::fs::read(value)?)?),
            // `env` is the proxy of the environment; `proxy_ca` follows it.
            "proxy" if value == "env" => config = config.proxy(Proxy::from_env()?),
            "proxy" => config = config.proxy(Proxy::new(value)?),
            #[cfg(feature = "tls")]
            "proxy_ca" => {
                let tls = ws_host::tls::TlsClient::roots_only(std::fs::read(value)?)?;
                let proxy = config.get_proxy().cloned().ok_or("proxy_ca without proxy")?;
                config = config.proxy(proxy.tls(tls));
            }
            _ => {
                let settings = connection(config.get_connection().clone(), name, value)?;
                config = config.connection(settings);
            }
        }
    }
    Ok(config)
}

fn pairs(options: &str) -> Result<Vec<(&str, &str)>, String> {
    let pair = |option: &'_ str| format!("{option} is not name=value");
    options.split_whitespace().map(|option| option.split_once('=').ok_or_else(|| pair(option))).collect()
}

fn connection(config: Config, name: &str, value: &str) -> Result<Config, Box<dyn Error>> {
    let time = |value: &str| value.parse().map(Duration::from_millis);
    Ok(match name {
        "message_limit" => config.message_limit(value.parse()?),
        "frame_rate" => config.frame_rate(if value == "off" { None } else { Some(value.parse()?) }),
        "handshake" => config.handshake_timeout(time(value)?),
        "keep_alive" => config.keep_alive(time(value)?),
        "answer" => config.answer_timeout(time(value)?),
        "close" => config.close_timeout(time(value)?),
        "output" => config.output_timeout(time(value)?),
        "heartbeat" => {
            let (idle, pong_timeout) = value.split_once('/').ok_or("heartbeat=IDLE/PONG_TIMEOUT")?;
            config.heartbeat(Heartbeat::frequent().idle(time(idle)?).pong_timeout(time(pong_timeout)?))
        }
        _ => return Err(format!("unknown option {name}").into()),
    })
}
