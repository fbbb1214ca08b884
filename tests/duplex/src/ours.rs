//! The configuration of both adapters.

use crate::{Arguments, Scenario};
use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;
use ws_host::client::ClientConfig;
use ws_host::server::ServerConfig;
use ws_proto::{Config, Heartbeat};

/// Returns the settings of a server: the defaults, unless the scenario needs others.
pub fn server(arguments: &Arguments) -> ServerConfig {
    let config = ServerConfig::new().connection(connection(arguments.scenario, Config::server()));
    match arguments.scenario {
        // All of them come from one address.
        Scenario::Events => config.max_connections(arguments.count as usize).max_per_address(None),
        _ => config,
    }
}

/// Returns a listener whose kernel buffers little pending output, as on a real network.
pub fn narrow_listener() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // Each connection inherits it.
    SockRef::from(&listener).set_send_buffer_size(64 << 10)?;
    Ok(listener)
}

/// Returns the settings of a client: the defaults, except the heartbeat of some scenarios.
pub fn client(arguments: &Arguments) -> ClientConfig {
    ClientConfig::new().connection(connection(arguments.scenario, Config::client()))
}

fn connection(scenario: Scenario, config: Config) -> Config {
    match scenario {
        // 2.5 times as fast as `Heartbeat::frequent`: the test's link is as much faster than the slow link that it
        // models.
        Scenario::Give | Scenario::Take => {
            let heartbeat = Heartbeat::frequent();
            config.heartbeat(heartbeat.idle(Duration::from_secs(10)).pong_timeout(Duration::from_secs(8)))
        }
        _ => config,
    }
}
