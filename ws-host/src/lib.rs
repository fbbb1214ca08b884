//! The runtime-independent parts of a WebSocket server or client, beyond the protocol engine.
//!
//! [`ws_proto`] takes bytes and a clock. An owner of sockets also has to open listeners, race addresses, reconnect, count
//! connections, keep topics and serve files. This crate does that once for all runtimes: `ws-server-mio` and
//! `ws-server-smol` build on it, and re-export what their users need. It opens the standard library's sockets and
//! files, never waits for a peer, spawns no thread and has no runtime. Functions that read or write files say so.
//!
//! ```text
//!  listen::open ──▶ the owner accepts ──▶ server::Admission ──▶ socket::prepare ──▶ Connection::server ──▶ events
//!                                                                                                     │
//!  client::addresses, Race ──▶ the owner connects ────────────▶ socket::prepare ──▶ Connection::client ┤
//!       ▲                                                                                              │
//!       └── client::Backoff ◀── Closed ◀───────────────────────────────────────────────────────────────┤
//!                                                    token, web, topics answer, serve and fan out ◀────┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`listen`] | where a server listens: ports and addresses, opening them, the file of a Unix socket, URLs, failed accepts |
//! | [`server`] | a server's limits and admission, its counts, how it stops |
//! | [`client`] | which addresses a client tries, in which order, its errors, and when it retries |
//! | [`socket`] | options of a connected socket |
//! | [`token`] | a secret in the URL that authenticates its bearer |
//! | [`topics`] | subscriptions by topic, and policies for slow peers |
//! | [`web`] | routes, files and event streams beside the socket |
//! | [`clock`] | the shared clock of a process |
//! | [`proxy`] | the proxy of a client: HTTP CONNECT, SOCKS5, the environment |
//! | [`trusted_proxy`] | the proxies in front of a server: PROXY protocol, `Forwarded`, `X-Forwarded-For` |
//! | [`layer`] | a PROXY header, a tunnel, TLS between a socket and the engine |
//! | `tls` | TLS between a socket and the engine, with the feature `tls` |
//! | [`sleep`] | detecting that the machine slept |
//!
//! # Features
//!
//! | feature | by default | what |
//! |---|---|---|
//! | `deflate` | yes | permessage-deflate (RFC 7692), off until a configuration enables it; brings `zlib-rs` |
//! | `tls` | no | `wss://` and `https://`: rustls with ring, which needs a C compiler |
//! | `tls-self-signed` | no | `tls`, with certificates for this machine and its network from a local CA |
//! | `tls-aws-lc-rs` | no | rustls with AWS-LC in place of ring, or beside it |
//! | `tls-no-provider` | no | rustls with a crypto provider that the application passes |
#![cfg_attr(docsrs, feature(doc_cfg))] // which feature and system an item needs

mod address_key;
pub mod client;
pub mod clock;
mod lan;
pub mod layer;
pub mod listen;
pub mod proxy;
pub mod server;
mod settings;
pub mod sleep;
pub mod socket;
#[cfg(feature = "tls-no-provider")]
#[cfg_attr(docsrs, doc(cfg(any(feature = "tls", feature = "tls-aws-lc-rs", feature = "tls-no-provider"))))]
pub mod tls;
pub mod token;
pub mod topics;
pub mod trusted_proxy;
mod url;
pub mod web;
