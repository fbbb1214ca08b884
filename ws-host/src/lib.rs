//! What every owner of WebSocket sockets needs, and no engine does.
//!
//! [`ws_proto`] takes bytes and a clock. Whoever owns the sockets also has to open listeners, race addresses, reconnect,
//! count connections, keep topics and serve files. That is here, once for all runtimes: `ws-server-mio` and
//! `ws-server-smol` are built on it, and re-export what their users need. It may touch the standard library's sockets
//! and files, never waits, spawns no thread and has no runtime.
//!
//! | module | what |
//! |---|---|
//! | [`listen`] | where a server listens: addresses, ports, the file of a Unix socket, URLs |
//! | [`server`] | what a server allows, counts and tells when it stops |
//! | [`client`] | where a client connects, in which order, why that failed, and when it tries again |
//! | [`token`] | a secret in the URL that lets its holder in |
//! | [`topics`] | subscriptions by topic, and policies for slow peers |
//! | [`web`] | routes, files and event streams beside the socket |
//! | [`sleep`] | finding out that the machine slept |

pub mod client;
pub mod listen;
pub mod server;
mod settings;
pub mod sleep;
pub mod token;
pub mod topics;
pub mod web;
