//! The paths whose request bodies are emitted as they arrive.

use crate::web::strip_prefix;
use http::Method;
use std::string::String;
use std::vec::Vec;
use ws_proto::RequestHead;

/// Paths, and what applies to bodies there.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamedPaths {
    /// The most bytes.
    limits: Vec<(String, u64)>,
    /// The fewest bytes a second.
    min_rates: Vec<(String, u32)>,
}

impl StreamedPaths {
    pub(super) fn add(&mut self, path: String, limit: u64) {
        self.limits.push((path, limit));
    }

    pub(super) fn add_min_rate(&mut self, path: String, bytes_per_second: u32) {
        self.min_rates.push((path, bytes_per_second));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.min_rates.is_empty()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let rated = self.min_rates.iter().map(|(path, _)| path.as_str());
        self.limits.iter().map(|(path, _)| path.as_str()).chain(rated)
    }

    /// The limit for the body of this request, if it is to stream: that of the longest path. A body of a safe method has
    /// no defined meaning (RFC 9110 §9.3.1).
    pub(super) fn limit(&self, head: &RequestHead<'_>) -> Option<u64> {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(head.method()) {
            return None;
        }
        of_longest(&self.limits, head.path())
    }

    /// The minimum rate for the body of this request, which streams: that of the longest path.
    pub(super) fn min_rate(&self, head: &RequestHead<'_>) -> Option<u32> {
        of_longest(&self.min_rates, head.path())
    }
}

/// The value of the longest of these paths that includes this one.
fn of_longest<T: Copy>(values: &[(String, T)], path: &str) -> Option<T> {
    let includes = |its: &str| match its.strip_suffix('/') {
        Some(folder) => strip_prefix(path, folder).is_some_and(|rest| rest.starts_with('/')),
        None => strip_prefix(path, its) == Some(""),
    };
    let those = values.iter().filter(|(its, _)| includes(its));
    those.max_by_key(|(its, _)| its.len()).map(|(_, value)| *value)
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
    fn the_minimum_rate_is_that_of_the_longest_path_or_of_a_further_rule() {
        let config = ServerConfig::new().stream_bodies("/files/", 9).min_body_rate("/files/live/", 0);
        let config = config.min_body_rate("/files/live/slow", 5);
        let outer = ServerConfig::new().min_body_rate("/other/", 7).connection(config.connection_config());
        for (path, expected) in [
            ("/files/a", None),
            ("/files/live/a", Some(0)),
            ("/files/%6cive/a", Some(0)),
            ("/files/live/slow", Some(5)),
            ("/other/a", Some(7)),
        ] {
            let request = Request::put(path).body(()).unwrap();
            let rule = outer.connection_config().get_head_rule().cloned().unwrap();
            assert_eq!(rule.min_body_rate(&RequestHead::new(&request, false)), expected, "{path}");
        }
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
