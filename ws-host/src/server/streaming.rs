//! The paths whose request bodies are emitted as they arrive.

use crate::web::strip_prefix;
use http::Method;
use std::string::String;
use std::vec::Vec;
use ws_proto::RequestHead;

/// Paths, and the most bytes of a body there.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamedPaths(Vec<(String, u64)>);

impl StreamedPaths {
    pub(super) fn add(&mut self, path: String, limit: u64) {
        self.0.push((path, limit));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _)| path.as_str())
    }

    /// The limit for the body of this request, if it is to stream: that of the longest path. A body of a safe method has
    /// no defined meaning (RFC 9110 §9.3.1).
    pub(super) fn limit(&self, head: &RequestHead<'_>) -> Option<u64> {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(head.method()) {
            return None;
        }
        let has = |path: &str| match path.strip_suffix('/') {
            Some(folder) => strip_prefix(head.path(), folder).is_some_and(|rest| rest.starts_with('/')),
            None => strip_prefix(head.path(), path) == Some(""),
        };
        let those = self.0.iter().filter(|(path, _)| has(path));
        those.max_by_key(|(path, _)| path.len()).map(|(_, limit)| *limit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerConfig;
    use http::Request;
    use ws_proto::RequestHead;

    fn limit(config: &ServerConfig, method: &str, path: &str) -> Option<u64> {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        config.connection_config().get_head_rule()?.stream_body(&RequestHead::new(&request, false))
    }

    #[test]
    fn bodies_stream_on_their_paths_only() {
        let config = ServerConfig::new();
        assert_eq!(limit(&config, "PUT", "/files/a"), None);
        let config = config.stream_bodies("/files/", 1 << 40).stream_bodies("films", 5);
        for (method, path, expected) in [
            ("PUT", "/files/a", Some(1 << 40)),
            ("POST", "/files/a/b?c", Some(1 << 40)),
            ("PUT", "/files/", Some(1 << 40)),
            ("PUT", "/%66iles/a", Some(1 << 40)),
            ("PUT", "/file%73/", Some(1 << 40)),
            ("PUT", "/files%2Fa", None),
            ("PUT", "/%66iles", None),
            ("PUT", "/%zziles/a", None),
            ("PUT", "/%66ilms", Some(5)),
            ("PUT", "/films", Some(5)),
            ("PUT", "/films?x", Some(5)),
            ("PUT", "/films/", None),
            ("PUT", "/files", None),
            ("PUT", "/filesystem", None),
            ("GET", "/files/a", None),
            ("HEAD", "/files/a", None),
            ("OPTIONS", "/files/a", None),
        ] {
            assert_eq!(limit(&config, method, path), expected, "{method} {path}");
        }
        let config = config.stream_bodies("/files/small/", 7);
        assert_eq!(limit(&config, "PUT", "/files/small/a"), Some(7));
    }

    #[test]
    fn a_further_rule_applies_to_other_paths() {
        let outer = ServerConfig::new().stream_bodies("/a/", 1);
        let inner = ServerConfig::new().stream_bodies("/b/", 2).connection_config();
        let config = outer.connection(inner);
        assert_eq!(limit(&config, "PUT", "/a/x"), Some(1));
        assert_eq!(limit(&config, "PUT", "/b/x"), Some(2));
        assert_eq!(limit(&config, "PUT", "/c/x"), None);
    }
}
