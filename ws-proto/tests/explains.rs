//! Every error is one sentence that fits in a log line: lower case, no full stop, and the figure or the name at fault.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use core::net::SocketAddr;
use http::{Response, StatusCode};
use std::error::Error as _;
use std::io;
use ws_host::client::{ConnectError, ConnectStep, InvalidTarget};
use ws_host::listen::ListenError;
use ws_host::topics::TopicError;
use ws_host::web::PathError;
use ws_proto::InvalidAccess;
use ws_proto::InvalidRequest;
use ws_proto::{
    CertificateFault, ClientRequest, CloseCode, Error, ProtocolError, ProxyError, RequestError, RespondError,
    ResponseError, SendError, SocksReply, Timeout, TlsError,
};

/// Asserts that an error is one sentence that contains `names`.
fn assert_explains(error: &dyn std::error::Error, names: &str) {
    let text = error.to_string();
    assert!(text.contains(names), "{text:?} does not name {names:?}");
    assert!(!text.contains('\n') && !text.ends_with(['.', ' ', ':']), "{text:?}");
    let first = text.chars().next().unwrap_or('?');
    assert!(!first.is_uppercase(), "{text:?}");
}

#[test]
fn protocol_errors_explain_themselves() {
    for (error, names, code) in [
        (ProtocolError::ReservedBits, "reserved bit", 1002),
        (ProtocolError::ReservedOpcode(11), "0xb", 1002),
        (ProtocolError::MaskMissing, "not masked", 1002),
        (ProtocolError::MaskPresent, "masked by a server", 1002),
        (ProtocolError::ControlFragmented, "fragmented control", 1002),
        (ProtocolError::ControlTooLong, "125", 1002),
        (ProtocolError::LengthNotMinimal, "shortest", 1002),
        (ProtocolError::LengthOverflow, "highest bit", 1002),
        (ProtocolError::ContinuationUnexpected, "continuation without a message", 1002),
        (ProtocolError::ContinuationExpected, "inside a fragmented one", 1002),
        (ProtocolError::CloseTooShort, "one byte", 1002),
        (ProtocolError::CloseCodeInvalid(999), "999", 1002),
        (ProtocolError::CloseReasonNotUtf8, "UTF-8", 1007),
        (ProtocolError::TextNotUtf8, "UTF-8", 1007),
        (ProtocolError::MessageTooBig { limit: 77 }, "77 bytes; raise message_limit", 1009),
        (ProtocolError::Flood { limit: 55 }, "55", 1008),
    ] {
        assert_explains(&error, names);
        assert_eq!(error.close_code().get(), code, "{error}");
        let whole = Error::from(error);
        assert_explains(&whole, names);
        assert!(whole.source().is_some(), "error reports can reach the cause");
    }
}

#[test]
fn http_errors_explain_themselves() {
    let moved = Response::builder().status(301).header("Location", "wss://app.example/x");
    let moved = moved.body(bytes::Bytes::new()).unwrap();
    let rejected = Response::builder().status(403).body(bytes::Bytes::new()).unwrap();
    for (error, names, status) in [
        (RequestError::Malformed("a header name"), "a header name", 400),
        (RequestError::TargetTooLong, "target", 414),
        (RequestError::HeadTooLarge, "head", 431),
        (RequestError::BodyTooLarge, "body", 413),
        (RequestError::VersionNotSupported, "HTTP/1.1", 505),
        (RequestError::TransferCoding, "chunked", 501),
        (RequestError::MethodNotImplemented, "method", 501),
        (RequestError::Expectation, "100-continue", 417),
        (RequestError::HostNotAllowed("a.example".into()), "\"a.example\"", 421),
        (RequestError::HostNotAllowed("a.example".into()), "to accept it, use allow_host", 421),
        (RequestError::OriginNotAllowed("http://b.example".into()), "http://b.example", 403),
        (RequestError::OriginNotAllowed("http://b.example".into()), "to admit it, use allow_origin", 403),
        (RequestError::OriginNotAllowed("null".into()), "to admit it, use allow_null_origin", 403),
        (RequestError::OriginNotAllowed("file://".into()), "to admit it, use allow_file_origin", 403),
        (
            RequestError::OriginNotAllowed("moz-extension://1f".into()),
            "allow_scheme for all of its scheme",
            403,
        ),
        (RequestError::OriginWithoutHost, "name its host", 403),
        (RequestError::Unauthorized, "lacks the credentials", 401),
        (RequestError::UpgradePath("/chat".into()), "there is no WebSocket at \"/chat\"", 404),
        (RequestError::UpgradePath("/chat".into()), "add it to upgrade_paths", 404),
        (RequestError::UpgradeNotGet, "GET", 405),
        (RequestError::WebSocketVersion, "13", 426),
        (RequestError::UpgradeMalformed("no key"), "no key", 400),
        (RequestError::TooSlow, "in time", 408),
    ] {
        assert_explains(&error, names);
        assert_eq!(error.status().as_u16(), status, "{error}");
        assert!(Error::from(error).source().is_some());
    }
    for (error, names) in [
        (ResponseError::Malformed("the status line"), "the status line"),
        (ResponseError::Eof, "before it answered the handshake; the scheme or the port of its URL"),
        (ResponseError::TlsRequired, "begin its URL with wss://"),
        (ResponseError::HeadTooLarge, "too large"),
        (ResponseError::Rejected(Box::new(rejected)), "403 Forbidden"),
        (
            ResponseError::Rejected(Box::new(moved)),
            "to wss://app.example/x; connect to that address, or let follow_redirects",
        ),
        (ResponseError::AcceptInvalid("Upgrade is not websocket"), "Upgrade is not websocket"),
    ] {
        assert_explains(&error, names);
        assert!(Error::from(error).source().is_some());
    }
    assert_explains(&Error::Unanswered, "did not answer");
    assert_explains(&Error::Unfinished, "did not finish");
    assert_explains(&Error::Abandoned, "before its response was complete");
}

#[test]
fn timeouts_and_io_errors_explain_themselves() {
    for (timeout, names) in [
        (Timeout::Handshake, "handshake"),
        (Timeout::Body, "body"),
        (Timeout::Heartbeat, "heartbeat"),
        (Timeout::Close, "closing"),
        (Timeout::Output, "stopped reading"),
        (Timeout::KeepAlive, "kept-alive"),
    ] {
        assert_explains(&Error::Timeout(timeout), names);
        assert!(Error::Timeout(timeout).source().is_none());
    }
    assert_explains(&Error::Eof, "without a close frame");
    assert_explains(&Error::RequestCutOff, "in the middle of its request");
    let reset = Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
    assert!(matches!(reset, Error::Io(io::ErrorKind::ConnectionReset)));
    assert_explains(&reset, "connection reset");
    assert_explains(&Error::Aborted, "aborted");
}

#[test]
fn send_errors_explain_themselves() {
    for (error, names) in [
        (SendError::NotOpen, "not open"),
        (SendError::Full, "wait until it has drained"),
        (SendError::ControlTooLong(126), "not 126"),
        (SendError::FragmentOrder, "out of order"),
        (SendError::NotUtf8, "UTF-8"),
        (SendError::CloseFrame, "close()"),
        (SendError::CloseCodeInvalid(CloseCode::ABNORMAL), "1006"),
        (SendError::CloseReasonTooLong(124), "not 124"),
    ] {
        assert_explains(&error, names);
    }
    for (error, names) in [
        (RespondError::WrongRequest, "came from another connection"),
        (RespondError::Header("upgrade".into()), "\"upgrade\""),
        (RespondError::Status(StatusCode::CONTINUE), "100 Continue"),
        (RespondError::BodyLength { left: 9 }, "9 bytes of the declared body length are left"),
        (RespondError::SubprotocolNotOffered("soap".into()), "\"soap\""),
    ] {
        assert_explains(&error, names);
    }
    assert_explains(&TopicError::NotOpen, "open");
    assert_explains(&TopicError::TooMany { limit: 2 }, "2 topics");
    assert_explains(&TopicError::NameTooLong { limit: 4 }, "4 bytes");
    assert_explains(&InvalidRequest::Url("it has a fragment"), "it has a fragment");
    assert_explains(&InvalidRequest::Header("Host".into()), "\"Host\"");
    assert_explains(&InvalidRequest::Subprotocol("a b".into()), "\"a b\"");
    assert_explains(&InvalidRequest::Credentials("the user name has a colon"), "a colon");
    for (error, names) in [
        (PathError::Malformed, "percent-encoded"),
        (PathError::Unsafe, "out of its folder"),
        (PathError::Hidden, "hidden"),
    ] {
        assert!(error.to_string().contains(names), "{error}");
    }
}

#[test]
fn listen_errors_explain_themselves_with_a_remedy() {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    assert_explains(&ListenError::InUse { tried: vec![at(1)] }, "127.0.0.1:1: in use");
    assert_explains(&ListenError::InUse { tried: vec![at(1), at(2)] }, "127.0.0.1:1 and 127.0.0.1:2");
    assert_explains(
        &ListenError::InUse { tried: vec![at(1), at(2), at(3)] },
        "127.0.0.1:1 … 127.0.0.1:3 (3 addresses)",
    );
    assert_explains(&ListenError::Denied { tried: vec![at(80)] }, "choose a port from 1024 up");
    assert_explains(
        &ListenError::AddressNotAvailable { tried: Vec::new() },
        "the address: not an address of this machine",
    );
    assert_explains(&ListenError::NoPort, "range");
    let access = ListenError::Config(InvalidAccess::Host("*".into()).into());
    assert_explains(&access, "cannot listen: \"*\" is not a host");
    assert!(access.source().is_some());
    let io = ListenError::Io { tried: vec![at(1)], error: denied() };
    assert_explains(&io, "permission denied");
    assert!(io.source().is_some() && ListenError::NoPort.source().is_none());
    #[cfg(unix)]
    {
        let unix = ListenError::Unix { path: "/run/x".into(), error: denied() };
        assert_explains(&unix, "/run/x");
        assert!(unix.source().is_some());
    }
}

#[test]
fn access_errors_explain_themselves_with_an_alternative() {
    let origin = |text: &str| InvalidAccess::Origin(text.into());
    let cors = |text: &str| InvalidAccess::CorsOrigin(text.into());
    let host = |text: &str| InvalidAccess::Host(text.into());
    let scheme = |text: &str| InvalidAccess::Scheme(text.into());
    for (error, names) in [
        (origin("file://"), "allow_file_origin"),
        (origin("FILE:///a.html"), "allow_file_origin"),
        (origin("null"), "allow_null_origin"),
        (origin("*"), "allow_any_origin"),
        (origin("moz-extension://*"), "allow_scheme"),
        (origin("app.example"), "https://app.example"),
        (origin("moz-extension"), "allow_scheme"),
        (origin("http://b\u{fc}cher.example"), "Punycode"),
        (origin("https://app.example/a"), "\"https://app.example/a\""),
        (origin("https://app.example/a"), "without path"),
        (cors("file://"), "Cors::any_origin"),
        (cors("null"), "Cors::any_origin"),
        (cors("*"), "Cors::any_origin"),
        (cors("https://*.example"), "without wildcards"),
        (host("*"), "allow_any_host"),
        (host("*.example"), "without wildcards"),
        (host("http://x"), "without scheme"),
        (host("b\u{fc}cher.example"), "Punycode"),
        (host(""), "app.example"),
        (scheme("file"), "allow_file_origin"),
        (scheme("HTTPS"), "allow_origin"),
        (scheme("moz-extension://"), "without colon"),
    ] {
        assert_explains(&error, names);
    }
}

#[test]
fn connect_errors_explain_themselves() {
    let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let invalid = InvalidTarget::from(InvalidRequest::Url("it has a fragment"));
    assert_explains(&invalid, "fragment");
    assert!(invalid.source().is_some() && InvalidTarget::NoClient.source().is_none());
    assert_explains(&InvalidTarget::TlsUnsupported, "TLS");
    assert_explains(&InvalidTarget::NoResolver { host: "a.example".into() }, "Options::resolve_names");
    assert_explains(&InvalidTarget::NoClient, "removed");

    let redirected = |times| {
        let mut request = ClientRequest::new("ws://a.example/0").unwrap();
        for k in 1..=times {
            request = request.redirect(StatusCode::FOUND, &format!("/{k}?secret")).unwrap();
        }
        ConnectError::Handshake(ResponseError::HeadTooLarge).in_attempt(&request, None)
    };
    let reasons = [
        (ConnectError::from(invalid), "fragment", true),
        (ConnectError::Name { host: "a.example".into(), error: refused() }, "\"a.example\"", true),
        (ConnectError::Zone { zone: "eth9".into(), error: refused() }, "\"eth9\"", true),
        (ConnectError::Zone { zone: "eth9".into(), error: refused() }, "its number", true),
        (
            ConnectError::Unreachable { tried: vec![at(1), at(2)], error: refused() },
            "connect to 192.0.2.1:1, 192.0.2.1:2: connection refused",
            true,
        ),
        (ConnectError::Unreachable { tried: Vec::new(), error: refused() }, "cannot connect: ", true),
        #[cfg(unix)]
        (
            ConnectError::Unix { path: "/run/a.sock".into(), error: refused() },
            "connect to /run/a.sock: ",
            true,
        ),
        (
            ConnectError::TimedOut { tried: vec![at(3)], step: ConnectStep::Proxy },
            "to 192.0.2.1:3 took too long: the proxy has not opened the tunnel",
            false,
        ),
        (
            ConnectError::ProxyUnreachable {
                proxy: "http://proxy.example:3128".into(),
                error: Box::new(ConnectError::Unreachable { tried: vec![at(1)], error: refused() }),
            },
            "http://proxy.example:3128 is unreachable: cannot connect to 192.0.2.1:1",
            true,
        ),
        (
            ConnectError::Proxy {
                proxy: "http://proxy.example:3128".into(),
                error: Box::new(ProxyError::TlsRequired),
            },
            "http://proxy.example:3128: the proxy speaks TLS; begin its URL with https://",
            true,
        ),
        (
            ConnectError::Proxy { proxy: String::new(), error: Box::new(ProxyError::TlsRequired) },
            "the proxy speaks TLS",
            true,
        ),
        (ConnectError::Handshake(ResponseError::HeadTooLarge), "too large", true),
        (
            redirected(1),
            "after the redirect to ws://a.example/1: the head of the response is too large",
            true,
        ),
        (redirected(3), "after 3 redirects, the last to ws://a.example/3: the head", true),
        (ConnectError::Lost(Error::Aborted), "during the handshake", false),
        (ConnectError::Cancelled, "cancelled", false),
    ];
    for (reason, names, has_source) in reasons {
        assert_explains(&reason, names);
        assert_eq!(reason.source().is_some(), has_source, "{reason}");
    }
}

#[test]
fn proxy_errors_name_the_remedy_or_what_happened() {
    let required = |offered: &str| ProxyError::AuthenticationRequired { offered: offered.into() };
    let rejected = |status| ProxyError::Rejected {
        status: StatusCode::from_u16(status).unwrap(),
        reason: "".into(),
        retry_after: None,
    };
    for (error, names) in [
        (required("Basic"), "credentials, or in its URL as user:password@"),
        (required(""), "credentials, or in its URL as user:password@"),
        (required("Negotiate, NTLM"), "requires credentials; it offers only Negotiate, NTLM"),
        (ProxyError::CredentialsRejected { offered: "NTLM".into() }, "password; it offers only NTLM"),
        (ProxyError::CredentialsRejected { offered: "".into() }, "rejected the user name or the password"),
        (
            ProxyError::Rejected {
                status: StatusCode::FORBIDDEN,
                reason: "by\u{1b}rule".into(),
                retry_after: None,
            },
            "answered 403 \"by\\u{1b}rule\"; it may not allow this server, or its port",
        ),
        (rejected(404), "it may be a web server"),
        (rejected(405), "it may be a web server"),
        (rejected(501), "it may be a web server"),
        (rejected(302), "log in with a browser"),
        (rejected(511), "log in with a browser"),
        (rejected(502), "cannot reach the server"),
        (rejected(418), "answered 418"),
        (ProxyError::Socks(SocksReply(5)), "perhaps no program listens on its port"),
        (ProxyError::HeadTooLarge, "too large"),
        (ProxyError::Malformed("the status line"), "the status line; the scheme or the port of its URL"),
        (ProxyError::TlsRequired, "begin its URL with https://"),
        (ProxyError::Eof, "ended the connection before the tunnel was open"),
        (
            ProxyError::Io(io::ErrorKind::ConnectionReset),
            "the connection to the proxy failed: connection reset",
        ),
        (
            ProxyError::Tls(TlsError::ServerCertificate(CertificateFault::Expired)),
            "those of Proxy::tls: the server's certificate has expired",
        ),
        (ProxyError::Target("why"), "cannot be used for this server: why"),
    ] {
        assert_explains(&error, names);
    }
}

#[test]
fn every_close_code_displays_its_meaning() {
    for (code, shown) in [
        (1000, "1000 normal closure"),
        (1001, "1001 going away"),
        (1002, "1002 protocol error"),
        (1003, "1003 unsupported data"),
        (1004, "1004 unassigned"),
        (1005, "1005 no status received"),
        (1006, "1006 abnormal closure"),
        (1007, "1007 invalid payload"),
        (1008, "1008 policy violation"),
        (1009, "1009 message too big"),
        (1010, "1010 extension required"),
        (1011, "1011 internal error"),
        (1012, "1012 service restart"),
        (1013, "1013 try again later"),
        (1014, "1014 bad gateway"),
        (1015, "1015 TLS failure"),
        (3000, "3000 registered by a library or framework"),
        (4999, "4999 private to the application"),
        (5000, "5000 unassigned"),
    ] {
        let code = CloseCode::from(code);
        assert_eq!(code.to_string(), shown);
        assert_eq!(u16::from(code), code.get());
    }
}

/// What `fn main() -> Result<(), Error>` prints is the `Debug` of the error.
#[test]
fn a_main_that_returns_an_error_prints_its_sentence() {
    let closed = Box::new(ws_proto::Closed::default());
    let errors: [Box<dyn std::error::Error>; 9] = [
        Box::new(Error::Request(RequestError::OriginNotAllowed("file://".into()))),
        Box::new(ResponseError::AcceptInvalid("Upgrade is not websocket")),
        Box::new(ProtocolError::MaskMissing),
        Box::new(SendError::Full),
        Box::new(RespondError::BodyLength { left: 9 }),
        Box::new(InvalidAccess::Origin("file://".into())),
        Box::new(ListenError::Config(InvalidAccess::Host("*".into()).into())),
        Box::new(ConnectError::Invalid(InvalidTarget::TlsUnsupported)),
        closed,
    ];
    for error in errors {
        assert_eq!(format!("{error:?}"), error.to_string());
    }
    assert_eq!(format!("{:?}", Error::Timeout(Timeout::Close)), "the closing handshake took too long");
}
