use std::collections::HashMap;
use std::path::Path;
use ws_server_mio::http::StatusCode;
use ws_server_mio::web::{self, Upload};
use ws_server_mio::{Bind, ConnectionId, Connections, Endpoint, Event, Request, RequestBody, ServerConfig};

type Uploads = HashMap<ConnectionId, (Request, Upload)>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let mut endpoint = Endpoint::new()?;
    let config = ServerConfig::new().upgrade_paths(["/ws"]).stream_bodies("/files/", 100 << 30); // up to 100 GiB
    let server = endpoint.connections().listen(Bind::localhost(), config)?;
    println!("{}", endpoint.connections().server(server).url("/").unwrap_or_default());
    let mut uploads = Uploads::new();
    endpoint.run(|connections, event| match event {
        Event::Request(id, request) => begin(connections, &mut uploads, Path::new(&folder), id, request),
        Event::Body(id, part) => receive(connections, &mut uploads, id, part),
        _ => {}
    })?;
    Ok(())
}

/// A request that is answered here is rejected before its client sends the body.
fn begin(
    connections: &mut Connections,
    uploads: &mut Uploads,
    folder: &Path,
    id: ConnectionId,
    request: Request,
) {
    let Some(name) = request.path().strip_prefix("/files/").filter(|_| request.is_streaming()) else {
        return; // dropped: 404
    };
    match web::clean(name).map_err(drop).and_then(|name| Upload::create(folder, name.as_str()).map_err(drop))
    {
        Ok(file) => drop(uploads.insert(id, (request, file))),
        Err(()) => drop(connections.respond(id, request, web::status(StatusCode::BAD_REQUEST))),
    }
}

fn receive(connections: &mut Connections, uploads: &mut Uploads, id: ConnectionId, part: RequestBody<'_>) {
    let Some((request, mut file)) = uploads.remove(&id) else { return };
    let stored = match part {
        RequestBody::Data(data) => match file.write(&data) {
            Ok(()) => return drop(uploads.insert(id, (request, file))),
            Err(error) => Err(error), // the disk is full, say: the response ends the body, and the file is removed
        },
        RequestBody::Complete => file.finish(),
        RequestBody::Incomplete(error) => return eprintln!("{}: {error}", file.name()), // it is removed
    };
    let response = match stored {
        Ok(path) => web::text(format!("stored as {}\n", path.display())),
        Err(error) => {
            eprintln!("{error}");
            web::status(StatusCode::INSUFFICIENT_STORAGE)
        }
    };
    let _ = connections.respond(id, request, response);
}
