//! permessage-deflate in the opening handshake, from both ends (RFC 7692 §5).

use super::tests_server::{Rig, UPGRADE};
use super::{ClientHttp, Opened};
use crate::config::Config;
use crate::deflate::{Deflate, Direction, Terms};
use crate::error::ResponseError;
use crate::handshake::{ClientRequest, Upgrade};
use crate::outbox::Outbox;
use bytes::Buf;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
const FULL: Direction = Direction { context_takeover: true, window_bits: 15 };

fn with(fields: &str) -> String {
    UPGRADE.replace("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n"))
}

/// A server's answer to a request, and the terms that it assumes.
fn accepted(config: Config, request: &str, look: impl Fn(&mut Upgrade)) -> (String, Opened) {
    let mut rig = Rig::with(config);
    let mut upgrade = rig.upgrade(request);
    look(&mut upgrade);
    rig.accept(upgrade).unwrap();
    let opened = rig.http.take_opened().unwrap();
    (rig.output(), opened)
}

fn client(config: &Config) -> (ClientHttp, String) {
    let request = ClientRequest::new("ws://localhost").unwrap();
    let mut out = Outbox::default();
    let http = ClientHttp::new(config, &request, *b"the sample nonce", &mut out);
    let len = out.len();
    (http, String::from_utf8(out.copy_to_bytes(len).to_vec()).unwrap())
}

fn answered(mut client: ClientHttp, config: &Config, answer: &str) -> Result<Opened, ResponseError> {
    client.handle_input(config, &mut &mut answer.as_bytes().to_vec()[..]).unwrap()
}

#[test]
fn accepted_compression_appears_once_in_the_101() {
    let config = Config::server().deflate(Deflate::new().window_bits(12));
    let fields = format!("{OFFER}\r\nSec-WebSocket-Extensions: x, permessage-deflate");
    let (output, (response, terms)) = accepted(config, &with(&fields), |_| ());
    assert_eq!(
        terms,
        Some(Terms { ours: Direction { context_takeover: true, window_bits: 12 }, theirs: FULL })
    );
    let field = "permessage-deflate; server_max_window_bits=12";
    assert_eq!(response.headers()["sec-websocket-extensions"], field);
    assert_eq!(output.to_ascii_lowercase().matches("sec-websocket-extensions").count(), 1);
    assert!(output.contains(&format!("\r\nSec-WebSocket-Extensions: {field}\r\n")), "{output}");
}

#[test]
fn upgrade_without_agreed_compression_is_accepted() {
    let deflate = || Config::server().deflate(Deflate::new());
    for (config, request, look) in [
        (Config::server(), with(OFFER), (|_| ()) as fn(&mut Upgrade)),
        (deflate(), UPGRADE.to_owned(), |_| ()),
        (deflate(), with("Sec-WebSocket-Extensions: permessage-deflate; mystery"), |_| ()),
        (deflate(), with("Sec-WebSocket-Extensions: permessage-deflate; x=\""), |_| ()),
        (deflate(), with("Sec-WebSocket-Extensions:"), |_| ()),
        (deflate(), with(OFFER), Upgrade::decline_compression),
    ] {
        let (output, (response, terms)) = accepted(config, &request, look);
        assert!(output.starts_with("HTTP/1.1 101 ") && terms.is_none(), "{request}");
        assert!(!output.to_ascii_lowercase().contains("sec-websocket-extensions"), "{output}");
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }
}

#[test]
fn upgrade_reports_offered_compression() {
    for (fields, is_offered) in [
        (OFFER, true),
        ("Sec-WebSocket-Extensions: x, PERMESSAGE-DEFLATE", true),
        ("Sec-WebSocket-Extensions: x\r\nSec-WebSocket-Extensions: permessage-deflate", true),
        ("Sec-WebSocket-Extensions: x; y=\"z, permessage-deflate, z\"", false),
        ("Sec-WebSocket-Extensions: permessage-bzip2", false),
        ("X: permessage-deflate", false),
    ] {
        let upgrade = Rig::new().upgrade(with(fields));
        assert_eq!(upgrade.offers_compression(), is_offered, "{fields}");
    }
}

#[test]
fn client_offers_compression_when_configured() {
    assert!(!client(&Config::client()).1.contains("Sec-WebSocket-Extensions"));
    let (_, request) = client(&Config::client().deflate(Deflate::new().context_takeover(false)));
    let field = "permessage-deflate; client_no_context_takeover; client_max_window_bits";
    assert!(request.contains(&format!("\r\nSec-WebSocket-Extensions: {field}\r\n")), "{request}");
}

#[test]
fn client_accepts_valid_and_rejects_invalid_compression_answers() {
    let answer = |fields: &str| {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{fields}\r\n"
        )
    };
    let config = Config::client().deflate(Deflate::new());
    let ask = |fields: &str| answered(client(&config).0, &config, &answer(fields));
    assert!(matches!(ask(""), Ok((_, None))));
    let field = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=8\r\n";
    let ours = Direction { context_takeover: true, window_bits: 8 };
    assert_eq!(ask(field).unwrap().1, Some(Terms { ours, theirs: FULL }));
    for field in [
        "Sec-WebSocket-Extensions: permessage-bzip2\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions:\r\n",
    ] {
        assert!(matches!(ask(field), Err(ResponseError::AcceptInvalid(_))), "{field}");
    }
}

#[test]
fn both_ends_agree_for_all_settings() {
    let all = || {
        let flags = [(true, true), (true, false), (false, true), (false, false)];
        let bits = (9..=15).flat_map(|ours| (8..=15).map(move |theirs| (ours, theirs)));
        bits.flat_map(move |bits| flags.map(|flags| (flags, bits)))
    };
    let deflate = |((ours, theirs), (our_bits, their_bits))| {
        Deflate::new()
            .context_takeover(ours)
            .peer_context_takeover(theirs)
            .window_bits(our_bits)
            .peer_window_bits(their_bits)
    };
    let clients: Vec<_> = all()
        .map(|settings| {
            let config = Config::client().deflate(deflate(settings));
            let request = client(&config).1;
            (settings, config, request)
        })
        .collect();
    let mut agreements = 0;
    for server in all() {
        let config = Config::server().deflate(deflate(server));
        for (settings, client_config, request) in &clients {
            let (answer, (_, server_terms)) = accepted(config.clone(), request, |_| ());
            let (_, client_terms) = answered(client(client_config).0, client_config, &answer).unwrap();
            let ((s_ours, s_theirs), (s_our_bits, s_their_bits)) = server;
            let ((c_ours, c_theirs), (c_our_bits, c_their_bits)) = *settings;
            // A server cannot compress with a window of 8 bits.
            let want = (c_their_bits > 8).then(|| Terms {
                ours: Direction {
                    context_takeover: s_ours && c_theirs,
                    window_bits: s_our_bits.min(c_their_bits),
                },
                theirs: Direction {
                    context_takeover: s_theirs && c_ours,
                    window_bits: s_their_bits.min(c_our_bits),
                },
            });
            assert_eq!(server_terms, want, "server {server:?}, client {settings:?}");
            let mirrored = want.map(|terms| Terms { ours: terms.theirs, theirs: terms.ours });
            assert_eq!(client_terms, mirrored, "server {server:?}, client {settings:?}");
            agreements += usize::from(want.is_some());
        }
    }
    assert_eq!(agreements, 224 * 196);
}
