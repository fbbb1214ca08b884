use std::time::{Duration, SystemTime};
use ws_server_mio::{Bind, Endpoint, Event, Message, ServerConfig, Token, Tokens};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = Tokens::new();
    let mut endpoint = Endpoint::new()?;
    let config = ServerConfig::new().require_tokens(tokens.clone());
    let server = endpoint.connections().listen(Bind::localhost(), config)?;

    let link = |token: &Token| format!("/?token={}", token.as_str());
    let (own, guest) = (random()?, random()?);
    tokens.add(own.clone());
    tokens.add_until(guest.clone(), SystemTime::now() + Duration::from_secs(3600));
    for token in [&own, &guest] {
        println!("{}", endpoint.connections().server(server).url(&link(token)).unwrap_or_default());
    }

    endpoint.run(|connections, event| {
        if let Event::Message(id, Message::Text(text)) = event
            && text == "log me out everywhere"
            && let Some(token) = connections.token(id)
        {
            tokens.revoke(token);
            println!("{} closed", connections.close_revoked());
        }
    })?;
    Ok(())
}

fn random() -> Result<Token, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(Token::from_random(random))
}
