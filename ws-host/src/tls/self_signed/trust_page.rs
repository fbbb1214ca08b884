//! The page that tells users how to import a CA, and the CA to download.

use super::local_ca::LocalCa;
use crate::web;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("trust_page.html");
const STYLE: &str = include_str!("trust_page.css");
/// The type by which systems know a CA that is to be installed.
const CA_TYPE: &str = "application/x-x509-ca-cert";

/// A page that tells the users of each system and browser how to import a [`LocalCa`], which it lets them download.
/// Serve it without TLS, since no device trusts the certificate yet: on a port of its own, or to the plain requests of
/// a server in [`TlsMode::OrPlain`](crate::tls::TlsMode::OrPlain). An attacker on the network can forge such a page:
/// users compare the fingerprint that it shows with the one that the application shows them itself.
///
/// It needs no other resource and no script. The instructions for the browser's system are open, the others folded.
///
/// ```no_run
/// use ws_host::tls::{SelfSigned, TlsServer, TrustPage};
/// use ws_host::web;
///
/// let (tls, ca) = TlsServer::self_signed(&SelfSigned::new("Film Club").lan())?;
/// let page = TrustPage::new(&ca).link("https://192.168.1.7:8700/");
/// let answer = move |request: &http::Request<bytes::Bytes>| page.respond(request).unwrap_or_else(web::not_found);
/// # let _ = (tls, answer);
/// # Ok::<(), ws_host::tls::InvalidTls>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustPage {
    ca: LocalCa,
    link: Option<String>,
}

/// The [`TrustPage`] of a CA as HTML, with the instructions of all systems open. It links to `ca.crt` and `ca.pem`
/// beside it.
pub fn trust_page(ca: &LocalCa) -> String {
    TrustPage::new(ca).html(None)
}

#[derive(Clone, Copy, PartialEq)]
enum System {
    Ios,
    Android,
    Windows,
    Mac,
    Linux,
}

impl TrustPage {
    /// The page of a CA.
    pub fn new(ca: &LocalCa) -> Self {
        Self { ca: ca.clone(), link: None }
    }

    /// Sets the URL at which the application is used, once its CA is trusted: a link at the end of the page.
    /// It must begin with `https://`.
    #[must_use]
    pub fn link(mut self, url: impl Into<String>) -> Self {
        self.link = Some(url.into()).filter(|url| url.starts_with("https://"));
        self
    }

    /// The response to a request for `/`, the page, `/ca.crt` or `/ca.pem`, the certificate in DER and in PEM;
    /// 405 for other methods there. `None` for any other path.
    pub fn respond<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let response = match request.uri().path() {
            "/" => self.page(user_agent),
            "/ca.crt" => certificate(CA_TYPE, self.ca.certificate_der()),
            "/ca.pem" => certificate("application/x-pem-file", self.ca.certificate_pem().as_bytes()),
            _ => return None,
        };
        match *request.method() {
            Method::GET | Method::HEAD => Some(response),
            _ => Some(web::method_not_allowed(&[Method::GET, Method::HEAD])),
        }
    }

    fn page(&self, user_agent: Option<&str>) -> Response<Bytes> {
        let mut response = web::no_store(web::html(self.html(user_agent)));
        let style = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// The page as HTML, with the instructions of the system that this `User-Agent` names open; all are if it names
    /// none.
    pub fn html(&self, user_agent: Option<&str>) -> String {
        let system = user_agent.and_then(system);
        let open = |of| if system.is_none_or(|system| system == of) { " open" } else { "" };
        let link = self.link.as_ref().map(|url| {
            let url = web::escape(url);
            format!("<p><b>Then open</b> <a href=\"{url}\">{url}</a></p>")
        });
        let link = link.unwrap_or_default();
        let values = [
            ("style", STYLE),
            ("app", &web::escape(self.ca.app())),
            ("name", &web::escape(self.ca.name())),
            ("fingerprint", self.ca.fingerprint()),
            ("nickname", &self.nickname()),
            ("link", &link),
            ("scope", &self.scope()),
            ("ios", open(System::Ios)),
            ("android", open(System::Android)),
            ("windows", open(System::Windows)),
            ("mac", open(System::Mac)),
            ("linux", open(System::Linux)),
        ];
        fill(PAGE, &values)
    }

    /// The end of the sentence that says what the CA can certify.
    fn scope(&self) -> String {
        match &*self.ca.shared.further {
            [] => "and for addresses of private networks: for no site on the internet".to_owned(),
            further => {
                let further = web::escape(&further.join(", "));
                format!(
                    "for addresses of private networks, and for {further} and the names below these: for no other \
                     site on the internet"
                )
            }
        }
    }

    /// A name for certificate stores and files: safe in HTML, in a shell and on each system.
    fn nickname(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let app: String = self.ca.app().chars().take(32).map(plain).collect();
        let id = self.ca.name().rsplit(' ').next().unwrap_or_default();
        let id: String = id.chars().map(plain).collect();
        format!("ca-{}-{id}", app.trim_matches('-')).replace("--", "-")
    }
}

fn certificate(content_type: &'static str, body: &[u8]) -> Response<Bytes> {
    let mut response = web::no_store(web::text(Bytes::copy_from_slice(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The system that a browser names. iPads call themselves Macs by default.
fn system(user_agent: &str) -> Option<System> {
    let systems = [
        ("iPhone", System::Ios),
        ("iPad", System::Ios),
        ("Android", System::Android),
        ("Windows", System::Windows),
        ("Macintosh", System::Mac),
        ("Linux", System::Linux),
        ("X11", System::Linux),
    ];
    systems.into_iter().find(|(name, _)| user_agent.contains(name)).map(|(_, system)| system)
}

/// Replaces each `{name}` in one pass, so that no value is taken for a placeholder.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(2 * template.len());
    let mut parts = template.split('{');
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let place = part.split_once('}');
        match place.and_then(|(name, rest)| Some((values.iter().find(|(known, _)| *known == name)?.1, rest)))
        {
            Some((value, rest)) => filled.extend([value, rest]),
            None => filled.extend(["{", part]),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_taken_for_a_placeholder() {
        let values = [("a", "{b}"), ("b", "{a}")];
        assert_eq!(fill("x{a}y{b}{c}{", &values), "x{b}y{a}{c}{");
        let places: Vec<_> = PAGE.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
        assert!(places.len() > 11, "{places:?}");
        assert!(!STYLE.contains("</"), "it stands in an element of its own");
    }

    #[test]
    fn browsers_name_their_system() {
        let named = |agent| system(agent);
        assert!(named("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)") == Some(System::Ios));
        assert!(named("Mozilla/5.0 (Linux; Android 10; K)") == Some(System::Android));
        assert!(named("Mozilla/5.0 (Windows NT 10.0; Win64; x64)") == Some(System::Windows));
        assert!(named("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)") == Some(System::Mac));
        assert!(named("Mozilla/5.0 (X11; Linux x86_64)") == Some(System::Linux));
        assert!(named("curl/8.5.0").is_none());
    }
}
