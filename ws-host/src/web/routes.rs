//! Routing: from method and path to a value.

use super::path::decode;
use super::response::{allow, method_not_allowed, not_found, status};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

/// Values by method and path: function pointers, an enum, assets, any type that the program matches on.
///
/// A pattern is read segment by segment: `:name` matches any non-empty one, a final `*` the rest of the path,
/// which may be empty, and anything else matches itself, decoded. Of several matching patterns, the one with the
/// earlier literal segment wins, regardless of the order in which they were added.
///
/// ```
/// use http::{Method, Request};
/// use ws_host::web::{Found, Routes};
///
/// let routes = Routes::new()
///     .get("/", "the page")
///     .get("/rooms/:room", "a room")
///     .post("/rooms/:room", "a message to a room")
///     .get("/files/*", "a file");
///
/// let request = Request::get("/rooms/caf%C3%A9").body(()).unwrap();
/// let Found::Route(found, params) = routes.find(&request) else { panic!() };
/// assert_eq!((*found, params.get("room")), ("a room", Some("café")));
///
/// let request = Request::delete("/rooms/1").body(()).unwrap();
/// let Found::Answer(response) = routes.find(&request) else { panic!() };
/// assert_eq!(response.status(), 405);
/// assert_eq!(response.headers()["allow"], "GET, HEAD, POST, OPTIONS");
/// ```
#[derive(Clone, Debug)]
pub struct Routes<T> {
    routes: Vec<Route<T>>,
}

#[derive(Clone, Debug)]
struct Route<T> {
    pattern: Vec<Segment>,
    /// `None` is every method.
    method: Option<Method>,
    value: T,
}

/// From the most specific to the most general.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Param(String),
    Rest,
}

impl Segment {
    fn rank(&self) -> u8 {
        match self {
            Self::Literal(_) => 0,
            Self::Param(_) => 1,
            Self::Rest => 2,
        }
    }
}

/// The outcome of routing a request.
#[derive(Debug)]
pub enum Found<'r, T> {
    /// A route, and the variable parts of its path. HEAD finds the route of GET; the connection withholds the body.
    Route(&'r T, Params),
    /// 404; 405 with `Allow`; for OPTIONS, 204 with `Allow`.
    Answer(Response<Bytes>),
}

/// The variable parts of a path. They own their data, so the request can be answered while they live.
#[derive(Clone, Debug, Default)]
pub struct Params {
    named: Vec<(String, String)>,
    rest: String,
}

impl Params {
    /// The segment that `:name` matched, decoded.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The path that `*` matched, as sent: for [`clean`](super::clean), which decodes it.
    pub fn rest(&self) -> &str {
        &self.rest
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl<T> Routes<T> {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route for a method.
    #[must_use]
    pub fn on(mut self, method: Method, pattern: &str, value: T) -> Self {
        self.routes.push(Route { pattern: parse(pattern), method: Some(method), value });
        self
    }

    /// Adds a route for every method, OPTIONS included.
    #[must_use]
    pub fn any(mut self, pattern: &str, value: T) -> Self {
        self.routes.push(Route { pattern: parse(pattern), method: None, value });
        self
    }

    /// Adds a route for GET, and so for HEAD.
    #[must_use]
    pub fn get(self, pattern: &str, value: T) -> Self {
        self.on(Method::GET, pattern, value)
    }

    /// Adds a route for POST.
    #[must_use]
    pub fn post(self, pattern: &str, value: T) -> Self {
        self.on(Method::POST, pattern, value)
    }

    /// Adds a route for PUT.
    #[must_use]
    pub fn put(self, pattern: &str, value: T) -> Self {
        self.on(Method::PUT, pattern, value)
    }

    /// Adds a route for DELETE.
    #[must_use]
    pub fn delete(self, pattern: &str, value: T) -> Self {
        self.on(Method::DELETE, pattern, value)
    }

    /// Finds the route of a request, or the answer if there is none.
    pub fn find<B>(&self, request: &Request<B>) -> Found<'_, T> {
        let method = request.method();
        let path = request.uri().path();
        if path == "*" {
            let all: Vec<_> = self.routes.iter().collect();
            return Found::Answer(options(&all));
        }
        let matches: Vec<_> =
            self.routes.iter().filter_map(|route| Some((route, capture(&route.pattern, path)?))).collect();
        let ranks = |route: &Route<T>| route.pattern.iter().map(Segment::rank).collect::<Vec<_>>();
        let Some(best) = matches.iter().map(|(route, _)| ranks(route)).min() else {
            return Found::Answer(not_found());
        };
        let mut matches: Vec<_> = matches.into_iter().filter(|(route, _)| ranks(route) == best).collect();
        let at =
            |wanted: Option<&Method>| matches.iter().position(|(route, _)| route.method.as_ref() == wanted);
        let head_by_get = || (*method == Method::HEAD).then(|| at(Some(&Method::GET))).flatten();
        if let Some(at) = at(Some(method)).or_else(head_by_get).or_else(|| at(None)) {
            let (route, params) = matches.swap_remove(at);
            return Found::Route(&route.value, params);
        }
        let routes: Vec<_> = matches.iter().map(|(route, _)| *route).collect();
        Found::Answer(match *method {
            Method::OPTIONS => options(&routes),
            _ => method_not_allowed(&allowed(&routes)),
        })
    }
}

fn parse(pattern: &str) -> Vec<Segment> {
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    let last = pattern.split('/').count() - 1;
    let segments = pattern.split('/').enumerate().map(|(at, segment)| match segment.strip_prefix(':') {
        Some(name) if !name.is_empty() => Segment::Param(name.to_owned()),
        _ if segment == "*" && at == last => Segment::Rest,
        _ => Segment::Literal(segment.to_owned()),
    });
    segments.collect()
}

/// The variable parts of a path, if the pattern matches.
fn capture(pattern: &[Segment], path: &str) -> Option<Params> {
    let mut params = Params::default();
    let mut rest = path.strip_prefix('/');
    for segment in pattern {
        let left = rest?;
        if *segment == Segment::Rest {
            params.rest = left.to_owned();
            return Some(params);
        }
        let (raw, behind) = match left.split_once('/') {
            Some((raw, behind)) => (raw, Some(behind)),
            None => (left, None),
        };
        rest = behind;
        let text = decode(raw)?;
        match segment {
            Segment::Literal(literal) if *literal == text => {}
            Segment::Param(name) if !text.is_empty() => {
                params.named.push((name.clone(), text.into_owned()));
            }
            _ => return None,
        }
    }
    rest.is_none().then_some(params)
}

/// The value of `Allow` for these routes.
fn allowed<T>(routes: &[&Route<T>]) -> Vec<Method> {
    let mut methods = Vec::new();
    let mut push = |method: &Method| {
        if !methods.contains(method) {
            methods.push(method.clone());
        }
    };
    for route in routes {
        match &route.method {
            Some(method) => push(method),
            None => [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
                .iter()
                .for_each(&mut push),
        }
        if matches!(route.method, None | Some(Method::GET)) {
            push(&Method::HEAD);
        }
    }
    push(&Method::OPTIONS);
    methods
}

fn options<T>(routes: &[&Route<T>]) -> Response<Bytes> {
    let mut response = status(StatusCode::NO_CONTENT);
    allow(&mut response, &allowed(routes));
    response
}
