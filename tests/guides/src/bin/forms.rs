use std::error::Error;
use ws_server_smol::http::{StatusCode, header};
use ws_server_smol::web;
use ws_server_smol::{Bind, HttpConnection, Incoming, Request, Server, ServerConfig, block_on};

fn main() -> Result<(), Box<dyn Error>> {
    let config = ServerConfig::new().stream_bodies("/form", 1 << 30); // up to 1 GiB
    let server = Server::bind(Bind::localhost(), config)?;
    println!("{}", server.url("/").unwrap_or_default());
    block_on(server.serve(async |mut http: HttpConnection| {
        while let Some(Incoming::Request(request)) = http.next().await {
            let response = match fields(&mut http, &request).await {
                Ok(text) => web::text(text),
                Err(_) => web::status(StatusCode::BAD_REQUEST),
            };
            if http.respond(request, response).await.is_err() {
                break;
            }
        }
    }));
    Ok(())
}

/// The name and the length of each field, however long it is.
async fn fields(http: &mut HttpConnection, request: &Request) -> Result<String, Box<dyn Error>> {
    let kind = request.headers().get(header::CONTENT_TYPE).ok_or("no type")?.to_str()?;
    let mut form = multer::Multipart::new(http.body(request), multer::parse_boundary(kind)?);
    let mut text = String::new();
    while let Some(mut field) = form.next_field().await? {
        let mut len = 0;
        while let Some(chunk) = field.chunk().await? {
            len += chunk.len();
        }
        text += &format!("{}: {len} bytes\n", field.name().unwrap_or_default());
    }
    Ok(text)
}
