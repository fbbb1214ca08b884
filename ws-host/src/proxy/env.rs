//! The proxies of the environment. The only place that reads it, and only where an application asks for it.

use super::no_proxy::NoProxy;
use super::{InvalidProxy, Proxy, ProxyServer};
use std::boxed::Box;
use std::ffi::OsString;
use std::string::{String, ToString};

/// As in curl, `HTTP_PROXY` is missing: in a CGI program, a client can set it with the header field `Proxy`.
const FOR_WS: [&str; 5] = ["ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"];
const FOR_WSS: [&str; 6] = ["wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

impl Proxy {
    /// The proxies of the environment, by the rules of curl. It uses the first of these variables that is neither
    /// missing nor empty:
    ///
    /// | for | variables |
    /// |---|---|
    /// | `ws://` | `ws_proxy`, `WS_PROXY`, `http_proxy`, `all_proxy`, `ALL_PROXY` |
    /// | `wss://` | `wss_proxy`, `WSS_PROXY`, `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
    /// | [exceptions](Self::no_proxy) | `no_proxy`, `NO_PROXY` |
    ///
    /// As in curl, `HTTP_PROXY` is never read: in a CGI program, a client can set it with the header field `Proxy`.
    /// There is no exception for `localhost` unless `no_proxy` has it.
    ///
    /// # Errors
    /// [`InvalidProxy::Variable`].
    pub fn from_env() -> Result<Self, InvalidProxy> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), with the variables that this function returns.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    ///
    /// ```
    /// use ws_host::proxy::Proxy;
    /// use ws_proto::ClientRequest;
    ///
    /// let proxy = Proxy::from_variables(|name| match name {
    ///     "https_proxy" => Some("http://proxy.example:3128".into()),
    ///     "no_proxy" => Some("example.org".into()),
    ///     _ => None,
    /// })?;
    /// let server = |url| proxy.server(&ClientRequest::new(url).unwrap()).map(ToString::to_string);
    /// assert_eq!(server("wss://example.net/").as_deref(), Some("http://proxy.example:3128"));
    /// assert_eq!(server("wss://www.example.org/"), None);
    /// assert_eq!(server("ws://example.net/"), None);
    /// # Ok::<(), ws_host::proxy::InvalidProxy>(())
    /// ```
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, InvalidProxy> {
        let server = |names: &[&'static str]| {
            let Some((name, value)) = first(names, &variable)? else { return Ok(None) };
            ProxyServer::new(&value).map(Some).map_err(|error| invalid(name, error))
        };
        let exceptions = first(&EXCEPTIONS, &variable)?;
        let no_proxy = exceptions.map(|(_, list)| NoProxy::new(&list)).unwrap_or_default();
        Ok(Self::of(server(&FOR_WS)?, server(&FOR_WSS)?, no_proxy))
    }
}

/// The first of these variables that is neither missing nor empty.
fn first(
    names: &[&'static str],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<(&'static str, String)>, InvalidProxy> {
    let found =
        names.iter().find_map(|name| Some((*name, variable(name).filter(|value| !value.is_empty())?)));
    let Some((name, value)) = found else { return Ok(None) };
    match value.into_string() {
        Ok(value) => Ok(Some((name, value))),
        Err(_) => Err(invalid(name, InvalidProxy::Url("it is not UTF-8"))),
    }
}

fn invalid(name: &str, error: InvalidProxy) -> InvalidProxy {
    InvalidProxy::Variable { name: name.to_string(), error: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ws_proto::ClientRequest;

    fn environment(variables: &[(&str, &str)]) -> Result<Proxy, InvalidProxy> {
        Proxy::from_variables(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let request = ClientRequest::new(url).unwrap();
        environment(variables).unwrap().server(&request).map(ToString::to_string)
    }

    #[test]
    fn the_first_variable_of_a_scheme_that_has_a_value_is_used() {
        let (ws, wss) = ("ws://a.example/", "wss://a.example/");
        assert_eq!((chosen(&[], ws), chosen(&[], wss)), (None, None));
        for names in [&FOR_WS[..], &FOR_WSS[..]] {
            let url = if names == FOR_WS { ws } else { wss };
            let values: Vec<_> = (0..names.len()).map(|k| format!("http://proxy{k}:1")).collect();
            let mut variables: Vec<_> =
                names.iter().zip(&values).map(|(name, value)| (*name, value.as_str())).collect();
            for k in 0..names.len() {
                assert_eq!(chosen(&variables, url), Some(values[k].clone()), "{}", names[k]);
                variables[k].1 = "";
            }
            assert_eq!(chosen(&variables, url), None);
        }
    }

    #[test]
    fn http_proxy_in_capitals_is_never_read() {
        let variables = [("HTTP_PROXY", "http://evil.example:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(chosen(&variables, "ws://a.example/"), None);
        assert_eq!(chosen(&variables[..1], "ws://a.example/"), None);
        assert_eq!(chosen(&variables, "wss://a.example/"), None);
    }

    #[test]
    fn the_schemes_have_their_own_proxies_and_share_the_exceptions() {
        let variables =
            [("http_proxy", "proxy:1"), ("HTTPS_PROXY", "socks5://proxy:2"), ("NO_PROXY", "b.example")];
        assert_eq!(chosen(&variables, "ws://a.example/").as_deref(), Some("http://proxy:1"));
        assert_eq!(chosen(&variables, "wss://a.example/").as_deref(), Some("socks5h://proxy:2"));
        assert_eq!(chosen(&variables, "wss://b.example/"), None);
        let lower = [variables[0], variables[2], ("no_proxy", "a.example")];
        assert_eq!(chosen(&lower, "ws://a.example/"), None, "lower case goes first");
        assert!(chosen(&lower, "ws://b.example/").is_some());
    }

    #[test]
    fn an_error_names_its_variable_and_shows_no_secret() {
        let error = environment(&[("all_proxy", "ftp://ann:secret@proxy")]).unwrap_err();
        assert!(matches!(&error, InvalidProxy::Variable { name, .. } if name == "all_proxy"), "{error}");
        let text = error.to_string();
        assert!(text.contains("all_proxy") && text.contains("scheme") && !text.contains("secret"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_text_is_an_error() {
        use std::os::unix::ffi::OsStringExt;
        let value = |_: &str| Some(OsString::from_vec(vec![0xff]));
        assert!(matches!(Proxy::from_variables(value), Err(InvalidProxy::Variable { .. })));
    }
}
