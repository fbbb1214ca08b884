//! A small web server's decisions, as data: which route, which file, which part of it, which header fields.
//!
//! All of it is optional: an application may answer [`Event::Request`](ws_proto::Event::Request) itself. Only [`Disk`]
//! and [`Upload`] do I/O, and each part works without the others:
//!
//! ```text
//!  request ─▶ Routes::find ─▶ a value of yours ─▶ text, html, json, redirect, error_page ─▶ respond
//!                 │                               Assets::respond (embedded files)       ─▶ respond
//!                 │                               clean, Representation::plan (folders)  ─▶ respond_streaming
//!                 └▶ 404, 405, OPTIONS            sse::head, ServerSentEvent             ─▶ respond_streaming
//! ```
//!
//! ```
//! use ws_host::web::{self, Assets, Found, Routes};
//!
//! enum Page {
//!     Files,
//!     User,
//! }
//! let assets = Assets::new().add("/index.html", "<!doctype html><h1>Hello</h1>");
//! let routes = Routes::new().get("/api/users/:name", Page::User).get("/*", Page::Files);
//!
//! # let answer = |request: &http::Request<bytes::Bytes>| {
//! let response = match routes.find(request) {
//!     Found::Route(Page::Files, _) => assets.respond(request).unwrap_or_else(web::not_found),
//!     Found::Route(Page::User, params) => {
//!         let name = params.get("name").unwrap_or_default();
//!         web::text(format!("user {name}"))
//!     }
//!     Found::Answer(response) => response, // 404, 405, OPTIONS
//! };
//! # response };
//! # let ask = |path: &str| answer(&http::Request::get(path).body(bytes::Bytes::new()).unwrap());
//! # assert_eq!(ask("/").headers()["content-type"], "text/html; charset=utf-8");
//! # assert_eq!(ask("/api/users/J%C3%BCrgen").body(), "user Jürgen");
//! # assert_eq!(ask("/nowhere").status(), 404);
//! ```
//!
//! For error pages in the application's own style, replace [`Found::Answer`] with your own answer for its status.
//!
//! Every answer from here has `X-Content-Type-Options: nosniff`, repeats nothing of the request unescaped, and grants
//! nothing to other origins, unless [`Cors`](ws_proto::Cors) is set.

mod assets;
mod disk;
mod encoding;
mod etag;
mod folder;
mod mime;
mod path;
mod plan;
mod query;
mod range;
mod response;
mod routes;
pub mod sse;
mod upload;

#[cfg(test)]
mod tests_assets;
#[cfg(test)]
mod tests_folder;
#[cfg(test)]
mod tests_path;
#[cfg(test)]
mod tests_plan;
#[cfg(test)]
mod tests_query;
#[cfg(test)]
mod tests_routes;

pub use assets::Assets;
pub use disk::Disk;
pub use encoding::{CODINGS, accepts_coding};
pub use etag::ETag;
pub use folder::{Files, Folder, Kind, Opened};
pub use mime::content_type;
pub(crate) use path::strip_prefix;
pub use path::{CleanPath, PathError, clean, clean_with_hidden};
pub use plan::{Plan, Representation};
pub use query::{cookie, form, has_content_type, is_navigation, pairs, query};
pub use range::{Ranged, range};
pub use response::{
    add_slash, error_page, escape, html, json, method_not_allowed, no_store, not_found, redirect, status,
    text, unsupported_media_type,
};
pub use routes::{Found, Params, Routes};
pub use sse::ServerSentEvent;
pub use upload::Upload;
