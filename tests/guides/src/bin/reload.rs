use std::error::Error;
use std::time::{Duration, SystemTime};
use std::{env, fs, thread};
use ws_server_mio::tls::TlsServer;
use ws_server_mio::{Bind, Endpoint, Event, ServerConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<_> = env::args().skip(1).collect();
    let [chain, key] = <[String; 2]>::try_from(files).map_err(|_| "usage: reload CHAIN KEY")?;
    let loaded = [modified(&chain), modified(&key)];
    let tls = TlsServer::from_files(&chain, &key)?;
    let renewed = tls.clone();
    thread::spawn(move || watch(&renewed, &chain, &key, loaded));

    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new().tls(tls))?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    endpoint.run(|connections, event| {
        if let Event::Message(id, message) = event {
            let _ = connections.send(id, message);
        }
    })?;
    Ok(())
}

fn watch(tls: &TlsServer, chain: &str, key: &str, mut loaded: [Option<SystemTime>; 2]) {
    loop {
        thread::sleep(Duration::from_secs(5));
        let now = [modified(chain), modified(key)];
        if now != loaded {
            match tls.reload_files(chain, key) {
                Ok(()) => loaded = now,
                // Perhaps one of the files is still the old one. The server goes on with the old pair; try again.
                Err(error) => eprintln!("{error}"),
            }
        }
    }
}

fn modified(path: &str) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
