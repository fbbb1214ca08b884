//! Options from the environment: `OPTIONS="message_limit=65536 output=2000 heartbeat=500/500"`. Times are in
//! milliseconds; anything else has the library's default.

use std::error::Error;
use std::time::Duration;
use ws_host::client::ClientConfig;
use ws_host::listen::Bind;
use ws_host::server::ServerConfig;
use ws_host::token::Token;
use ws_proto::{Config, Cors, Heartbeat};

/// A server's: where it listens, and its rules.
pub fn server() -> Result<(Bind, ServerConfig), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let mut bind = Bind::localhost();
    let mut config = ServerConfig::new();
    for (name, value) in pairs(&std::env::var("OPTIONS").unwrap_or_default())? {
        match name {
            "bind" if value == "any" => bind = Bind::any(),
            "cors" => config = config.cors(Cors::new().origin(value)),
            "token" => config = config.require_token(Token::from_random([7; 16])),
            "max_connections" => config = config.max_connections(value.parse()?),
            "max_handshakes" => config = config.max_handshakes(value.parse()?),
            _ => {
                let rules = connection(config.get_connection().clone(), name, value)?;
                config = config.connection(rules);
            }
        }
    }
    Ok((bind.port(port), config))
}

/// A client's: the rules of its connection.
pub fn client() -> Result<ClientConfig, Box<dyn Error>> {
    let options = std::env::var("OPTIONS").unwrap_or_default();
    let rules = pairs(&options)?
        .into_iter()
        .try_fold(Config::client(), |config, (name, value)| connection(config, name, value))?;
    Ok(ClientConfig::new().connection(rules))
}

fn pairs(options: &str) -> Result<Vec<(&str, &str)>, String> {
    let pair = |word: &'_ str| format!("{word} is not name=value");
    options.split_whitespace().map(|word| word.split_once('=').ok_or_else(|| pair(word))).collect()
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
            let (interval, answer) = value.split_once('/').ok_or("heartbeat=INTERVAL/ANSWER")?;
            config.heartbeat(Heartbeat::frequent().idle(time(interval)?).pong_timeout(time(answer)?))
        }
        _ => return Err(format!("there is no option {name}").into()),
    })
}
