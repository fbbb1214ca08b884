//! Offers, answers, and the resulting terms (RFC 7692 §5, §7.1).

use super::{Deflate, Direction, Terms};
use ::http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use proptest::collection::vec;
use proptest::prelude::*;

fn headers<T: AsRef<[u8]>>(lines: &[T]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_bytes(line.as_ref()).unwrap());
    }
    headers
}

/// A server's answer, without the extension name in front.
fn answer(server: &Deflate, offers: &[&str]) -> Option<String> {
    let (_, answer) = server.accept(&headers(offers))?;
    Some(answer.to_str().unwrap().strip_prefix("permessage-deflate").unwrap().to_owned())
}

/// The answer to the parameters of one offer.
fn answer_to(server: &Deflate, parameters: &str) -> Option<String> {
    answer(server, &[&format!("permessage-deflate{parameters}")])
}

/// Takeover and window of one side, then of the other.
fn terms(ours: (bool, u8), theirs: (bool, u8)) -> Terms {
    let direction = |(takeover, window_bits)| Direction { context_takeover: takeover, window_bits };
    Terms { ours: direction(ours), theirs: direction(theirs) }
}

/// Invalid window values.
const NO_WINDOW: [&str; 34] = [
    "=",
    "=\"\"",
    "=0",
    "=00",
    "=7",
    "=08",
    "=09",
    "=010",
    "=015",
    "=16",
    "=17",
    "=18",
    "=19",
    "=20",
    "=80",
    "=100",
    "=108",
    "=150",
    "=255",
    "=256",
    "=264",
    "=4294967304",
    "=18446744073709551616",
    "=18446744073709551624",
    "=+9",
    "=-9",
    "=9.",
    "=9.0",
    "=1e1",
    "=0x9",
    "=\" 9\"",
    "=\"9 \"",
    "=a",
    "=\u{fc}",
];

// --- the server

#[test]
fn server_answer_combines_offer_and_settings() {
    let full = Deflate::new();
    let ours_small = Deflate::new().window_bits(11);
    let theirs_small = Deflate::new().peer_window_bits(10);
    let no_memory = Deflate::new().context_takeover(false).peer_context_takeover(false);
    for (server, offer, want) in [
        // Firefox; an unstated window is 15 bits.
        (&full, "", Some("")),
        // Chromium: a limit is possible, but not required.
        (&full, "; client_max_window_bits", Some("")),
        (&full, "; client_max_window_bits=15", Some("")),
        (&full, "; client_max_window_bits=12", Some("; client_max_window_bits=12")),
        (&full, "; client_max_window_bits=8", Some("; client_max_window_bits=8")),
        (&full, "; server_max_window_bits=15", Some("; server_max_window_bits=15")),
        (&full, "; server_max_window_bits=9", Some("; server_max_window_bits=9")),
        (&full, "; server_max_window_bits=8", None),
        (&full, "; server_no_context_takeover", Some("; server_no_context_takeover")),
        (&full, "; client_no_context_takeover", Some("; client_no_context_takeover")),
        (&ours_small, "", Some("; server_max_window_bits=11")),
        (&ours_small, "; server_max_window_bits=15", Some("; server_max_window_bits=11")),
        (&ours_small, "; server_max_window_bits=10", Some("; server_max_window_bits=10")),
        (&ours_small, "; server_max_window_bits=8", None),
        (&theirs_small, "", None),
        (&theirs_small, "; client_max_window_bits", Some("; client_max_window_bits=10")),
        (&theirs_small, "; client_max_window_bits=15", Some("; client_max_window_bits=10")),
        (&theirs_small, "; client_max_window_bits=9", Some("; client_max_window_bits=9")),
        (&no_memory, "", Some("; server_no_context_takeover; client_no_context_takeover")),
        (
            &no_memory,
            "; client_max_window_bits; client_no_context_takeover",
            Some("; server_no_context_takeover; client_no_context_takeover"),
        ),
        (
            &full,
            "; client_max_window_bits=9; server_max_window_bits=10; client_no_context_takeover; server_no_context_takeover",
            Some(
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
            ),
        ),
    ] {
        assert_eq!(answer_to(server, offer).as_deref(), want, "{offer:?}, {server:?}");
    }
}

#[test]
fn server_terms_match_its_answer() {
    for (server, offer, want) in [
        (Deflate::new(), "", terms((true, 15), (true, 15))),
        (Deflate::new(), "; server_no_context_takeover", terms((false, 15), (true, 15))),
        (Deflate::new(), "; client_no_context_takeover", terms((true, 15), (false, 15))),
        (Deflate::new(), "; server_max_window_bits=9", terms((true, 9), (true, 15))),
        (Deflate::new(), "; client_max_window_bits=8", terms((true, 15), (true, 8))),
        (Deflate::new().context_takeover(false), "", terms((false, 15), (true, 15))),
        (Deflate::new().peer_context_takeover(false), "", terms((true, 15), (false, 15))),
        (Deflate::new().window_bits(12), "; server_max_window_bits=13", terms((true, 12), (true, 15))),
        (Deflate::new().peer_window_bits(8), "; client_max_window_bits", terms((true, 15), (true, 8))),
    ] {
        let offers = headers(&[format!("permessage-deflate{offer}")]);
        assert_eq!(server.accept(&offers).unwrap().0, want, "{offer:?}, {server:?}");
    }
}

#[test]
fn server_accepts_the_first_acceptable_offer() {
    let server = Deflate::new().peer_window_bits(12);
    let good = "permessage-deflate; client_max_window_bits";
    let want = Some("; client_max_window_bits=12".to_owned());
    for offers in [
        &[good][..],
        &[
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits, permessage-deflate; client_max_window_bits, permessage-deflate; client_max_window_bits=9",
        ],
        &["permessage-deflate; mystery", good, "permessage-deflate; client_max_window_bits=9"],
        &["permessage-deflate", good],
        &["permessage-bzip2; level=9, x-webkit-deflate-frame", good],
        &["permessage-deflate2; client_max_window_bits, permessage-deflat", good],
        &["broken one; x, \"quoted, comma\"", good],
        &["broken=\"no end, permessage-deflate; client_max_window_bits=9", good],
        &[" , ,\tPermessage-DEFLATE\t;\tClient_Max_Window_Bits ,"],
        &["permessage-deflate; client_max_window_bits=\"13\""],
        &["permessage-deflate; client_max_window_bits=\"1\\3\""],
    ] {
        assert_eq!(answer(&server, offers), want, "{offers:?}");
    }
    // An offer inside a value does not count.
    for offers in [
        &[][..],
        &[""],
        &["x; y=\"z, permessage-deflate; client_max_window_bits, z\""],
        &["x; permessage-deflate; client_max_window_bits"],
        &["permessage-deflate client_max_window_bits"],
        &["permessage-deflate\u{a0}; client_max_window_bits"],
    ] {
        assert_eq!(answer(&server, offers), None, "{offers:?}");
    }
}

#[test]
fn invalid_offer_parameters_are_declined() {
    let mut bad: Vec<String> = [
        "mystery",
        "mystery=1",
        "server_no_context_takeover; mystery",
        "server_no_context_takeover=1",
        "server_no_context_takeover=true",
        "client_no_context_takeover=\"\"",
        "client_no_context_takeover=\"x\"",
        "server_max_window_bits",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "client_no_context_takeover; Client_No_Context_Takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "server_max_window_bits=10; server_max_window_bits",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=10",
        "client_max_window_bits=10; client_max_window_bits",
        "server-no-context-takeover",
        "server_no_context_takeover2",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        bad.extend(NO_WINDOW.map(|value| format!("{name}{value}")));
    }
    for parameters in bad {
        let server = Deflate::new();
        assert_eq!(answer_to(&server, &format!("; {parameters}")), None, "{parameters}");
        let offers =
            format!("permessage-deflate; {parameters}, permessage-deflate; server_max_window_bits=9");
        assert_eq!(
            answer(&server, &[&offers]).as_deref(),
            Some("; server_max_window_bits=9"),
            "{parameters}"
        );
    }
}

#[test]
fn window_bits_may_be_quoted() {
    for bits in 8..=15 {
        for value in
            [format!("{bits}"), format!("\"{bits}\""), format!("\"\\{bits}\""), format!(" \"{bits}\" ")]
        {
            let offer = format!("; client_max_window_bits={value}; server_max_window_bits={value}");
            let offers = headers(&[format!("permessage-deflate{offer}")]);
            let agreed = Deflate::new().accept(&offers).map(|(terms, _)| terms);
            let want = (bits > 8).then_some(terms((true, bits), (true, bits)));
            assert_eq!(agreed, want, "{offer}");
        }
    }
}

// --- the client

#[test]
fn client_offer_follows_settings() {
    for (client, want) in [
        (Deflate::new(), "; client_max_window_bits"),
        (Deflate::new().window_bits(10), "; client_max_window_bits=10"),
        (Deflate::new().peer_window_bits(8), "; server_max_window_bits=8; client_max_window_bits"),
        (Deflate::new().context_takeover(false), "; client_no_context_takeover; client_max_window_bits"),
        (Deflate::new().peer_context_takeover(false), "; server_no_context_takeover; client_max_window_bits"),
        (
            Deflate::new()
                .window_bits(9)
                .peer_window_bits(12)
                .context_takeover(false)
                .peer_context_takeover(false),
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=9",
        ),
    ] {
        assert_eq!(client.offer(), format!("permessage-deflate{want}"), "{client:?}");
    }
}

/// A client's reaction to an answer.
fn agree(client: &Deflate, answer: &str) -> Result<Option<Terms>, &'static str> {
    client.agree(&headers(&[format!("permessage-deflate{answer}")]))
}

#[test]
fn client_terms_follow_the_answer() {
    let full = Deflate::new();
    let small = Deflate::new().window_bits(12).peer_window_bits(10);
    let no_memory = Deflate::new().context_takeover(false).peer_context_takeover(false);
    for (client, answer, want) in [
        (&full, "", terms((true, 15), (true, 15))),
        // Not requested (§7.1.1.1, §7.1.1.2, §7.1.2.1).
        (&full, "; server_no_context_takeover", terms((true, 15), (false, 15))),
        (&full, "; client_no_context_takeover", terms((false, 15), (true, 15))),
        (&full, "; server_max_window_bits=9", terms((true, 15), (true, 9))),
        (&full, "; server_max_window_bits=8", terms((true, 15), (true, 8))),
        (&full, "; client_max_window_bits=15", terms((true, 15), (true, 15))),
        (&full, "; client_max_window_bits=9", terms((true, 9), (true, 15))),
        // Our compressor cannot do this: then nothing is compressed, and no window is wider than agreed.
        (&full, "; client_max_window_bits=8", terms((true, 8), (true, 15))),
        (&full, "; Server_Max_Window_Bits = \"1\\2\"", terms((true, 15), (true, 12))),
        (&full, " ,", terms((true, 15), (true, 15))),
        // Our own promise holds even if the server does not repeat it.
        (&small, "; server_max_window_bits=10", terms((true, 12), (true, 10))),
        (&small, "; server_max_window_bits=9; client_max_window_bits=11", terms((true, 11), (true, 9))),
        (&no_memory, "; server_no_context_takeover", terms((false, 15), (false, 15))),
    ] {
        assert_eq!(agree(client, answer), Ok(Some(want)), "{answer:?}, {client:?}");
    }
    assert_eq!(full.agree(&HeaderMap::new()), Ok(None));
}

#[test]
fn client_rejects_an_answer_beyond_its_offer() {
    let full = Deflate::new();
    let mut rejected: Vec<(Deflate, String)> = [
        "; mystery",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover=1",
        "; server_no_context_takeover; server_no_context_takeover",
        "; client_no_context_takeover; client_no_context_takeover",
        "; server_max_window_bits=10; server_max_window_bits=10",
        "; client_max_window_bits=10; client_max_window_bits=10",
        "; server_max_window_bits",
        // Valid only in an offer.
        "; client_max_window_bits",
        "; ",
        " x",
        ", permessage-deflate",
        ", permessage-bzip2",
        ", ;",
        "2",
    ]
    .map(|answer| (full.clone(), answer.to_owned()))
    .to_vec();
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        rejected.extend(NO_WINDOW.map(|value| (full.clone(), format!("; {name}{value}"))));
    }
    // The server accepts by echoing the parameter (§7.1.1.1, §7.1.2.1), or not at all.
    rejected.push((Deflate::new().peer_context_takeover(false), String::new()));
    rejected.push((Deflate::new().peer_context_takeover(false), "; client_no_context_takeover".to_owned()));
    rejected.push((Deflate::new().peer_window_bits(10), String::new()));
    rejected.push((Deflate::new().peer_window_bits(10), "; server_max_window_bits=11".to_owned()));
    rejected.push((Deflate::new().window_bits(10), "; client_max_window_bits=11".to_owned()));
    for (client, answer) in rejected {
        assert!(agree(&client, &answer).is_err(), "{answer:?}, {client:?}");
    }
    for lines in [
        &[""][..],
        &[","],
        &["permessage-bzip2"],
        &["permessage-bzip2, permessage-deflate"],
        &["permessage-deflate", "permessage-deflate"],
        &["permessage-deflate", ""],
        &["", "permessage-deflate"],
        &["permessage-deflate; server_no_context_takeover", "permessage-deflate; client_no_context_takeover"],
        &["\"permessage-deflate\""],
        &["permessage-deflate; x=\""],
    ] {
        assert!(full.agree(&headers(lines)).is_err(), "{lines:?}");
    }
}

#[test]
fn error_names_the_fault() {
    let full = Deflate::new();
    for (client, answer, expected) in [
        (&full, "2", "not offered"),
        (&full, "; mystery", "unknown"),
        (&full, "; server_max_window_bits=16", "8 to 15"),
        (&full, "; client_max_window_bits", "without a value"),
        (&full, "; client_no_context_takeover; client_no_context_takeover", "repeated"),
        (&Deflate::new().peer_context_takeover(false), "", "server_no_context_takeover"),
        (&Deflate::new().peer_window_bits(9), "", "server_max_window_bits"),
    ] {
        let error = agree(client, answer).unwrap_err();
        assert!(error.contains(expected), "{answer:?}: {error}");
    }
}

// --- both

fn settings() -> impl Strategy<Value = Deflate> {
    (any::<[bool; 2]>(), 9..=15_u8, 8..=15_u8).prop_map(|([ours, theirs], our_bits, their_bits)| {
        Deflate::new()
            .context_takeover(ours)
            .peer_context_takeover(theirs)
            .window_bits(our_bits)
            .peer_window_bits(their_bits)
    })
}

/// Valid lines, and lines that resemble them.
fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let part = prop_oneof![
        8 => prop::sample::select(&[
            "permessage-deflate", "server_no_context_takeover", "client_no_context_takeover",
            "server_max_window_bits", "client_max_window_bits", "=8", "=9", "=10", "=15", "=16", "=\"12\"",
        ][..]).prop_map(|text| text.as_bytes().to_vec()),
        6 => prop::sample::select(&[";", ",", "; ", ", ", "=", "\"", "\\", " ", "\t"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(prop_oneof![32..127_u8, 128..=255_u8], 0..6),
    ];
    vec(vec(part, 0..16).prop_map(|parts| parts.concat()), 0..4)
}

proptest! {
    #[test]
    fn arbitrary_fields_give_valid_terms(deflate in settings(), lines in lines()) {
        let headers = headers(&lines);
        if let Some((terms, answer)) = deflate.accept(&headers) {
            prop_assert!(terms.ours.window_bits >= 9);
            prop_assert!(answer.to_str().unwrap().starts_with("permessage-deflate"));
        }
        if let Ok(Some(terms)) = deflate.agree(&headers) {
            prop_assert!((8..=15).contains(&terms.ours.window_bits) && terms.theirs.window_bits <= deflate.theirs.window_bits);
        }
    }

    /// For any further offers of the client: it accepts the answer, and both ends agree on its meaning.
    #[test]
    fn client_accepts_every_answer_to_its_offer(
        client in settings(), server in settings(), others in prop::sample::select(&[
            "", "permessage-deflate; mystery, ", "permessage-bzip2, ", ", ", "broken one, ",
        ][..]),
    ) {
        let offer = client.offer();
        let offers = headers(&[format!("{others}{}", offer.to_str().unwrap())]);
        let accepted = server.accept(&offers);
        // Only what zlib cannot do is declined, since the client accepts any limit.
        prop_assert_eq!(accepted.is_none(), client.theirs.window_bits == 8);
        if let Some((terms, answer)) = accepted {
            let agreed = client.agree(&headers(&[answer])).unwrap().unwrap();
            prop_assert_eq!(agreed, Terms { ours: terms.theirs, theirs: terms.ours });
        }
    }
}
