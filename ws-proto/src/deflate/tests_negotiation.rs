//! What is offered, what is answered, and what holds then (RFC 7692 §5, §7.1).

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

/// What a server answers, without the name of the extension that stands before it.
fn answer(server: &Deflate, offers: &[&str]) -> Option<String> {
    let (_, answer) = server.accept(&headers(offers))?;
    Some(answer.to_str().unwrap().strip_prefix("permessage-deflate").unwrap().to_owned())
}

/// The parameters of one offer, answered.
fn answer_to(server: &Deflate, parameters: &str) -> Option<String> {
    answer(server, &[&format!("permessage-deflate{parameters}")])
}

/// Takeover and window of the one side, takeover and window of the other.
fn terms(ours: (bool, u8), theirs: (bool, u8)) -> Terms {
    let direction = |(takeover, window_bits)| Direction { context_takeover: takeover, window_bits };
    Terms { ours: direction(ours), theirs: direction(theirs) }
}

/// Values that are no window.
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
fn a_server_answers_what_it_was_asked_and_what_it_wants() {
    let full = Deflate::new();
    let ours_small = Deflate::new().window_bits(11);
    let theirs_small = Deflate::new().peer_window_bits(10);
    let no_memory = Deflate::new().context_takeover(false).peer_context_takeover(false);
    for (server, offer, want) in [
        // Firefox; a window of which nothing is said is 15 bits.
        (&full, "", Some("")),
        // Chromium: it can be told, and need not be.
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
fn what_a_server_answers_is_what_it_does() {
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
fn a_server_takes_the_first_offer_that_will_do() {
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
    // An offer is not what stands in a value.
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
fn a_server_declines_an_offer_with_a_parameter_that_is_not_right() {
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
fn every_window_is_a_number_in_quotes_or_without() {
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
fn a_client_offers_what_it_wants() {
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

/// What a client makes of an answer.
fn agree(client: &Deflate, answer: &str) -> Result<Option<Terms>, &'static str> {
    client.agree(&headers(&[format!("permessage-deflate{answer}")]))
}

#[test]
fn a_client_does_what_the_server_answered() {
    let full = Deflate::new();
    let small = Deflate::new().window_bits(12).peer_window_bits(10);
    let no_memory = Deflate::new().context_takeover(false).peer_context_takeover(false);
    for (client, answer, want) in [
        (&full, "", terms((true, 15), (true, 15))),
        // Unasked for (§7.1.1.1, §7.1.1.2, §7.1.2.1).
        (&full, "; server_no_context_takeover", terms((true, 15), (false, 15))),
        (&full, "; client_no_context_takeover", terms((false, 15), (true, 15))),
        (&full, "; server_max_window_bits=9", terms((true, 15), (true, 9))),
        (&full, "; server_max_window_bits=8", terms((true, 15), (true, 8))),
        (&full, "; client_max_window_bits=15", terms((true, 15), (true, 15))),
        (&full, "; client_max_window_bits=9", terms((true, 9), (true, 15))),
        // Which no compressor of ours can: then nothing is compressed, and nothing is wider than was agreed on.
        (&full, "; client_max_window_bits=8", terms((true, 8), (true, 15))),
        (&full, "; Server_Max_Window_Bits = \"1\\2\"", terms((true, 15), (true, 12))),
        (&full, " ,", terms((true, 15), (true, 15))),
        // What we said of ourselves holds even where the server does not repeat it.
        (&small, "; server_max_window_bits=10", terms((true, 12), (true, 10))),
        (&small, "; server_max_window_bits=9; client_max_window_bits=11", terms((true, 11), (true, 9))),
        (&no_memory, "; server_no_context_takeover", terms((false, 15), (false, 15))),
    ] {
        assert_eq!(agree(client, answer), Ok(Some(want)), "{answer:?}, {client:?}");
    }
    assert_eq!(full.agree(&HeaderMap::new()), Ok(None));
}

#[test]
fn a_client_refuses_an_answer_to_something_else() {
    let full = Deflate::new();
    let mut refused: Vec<(Deflate, String)> = [
        "; mystery",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover=1",
        "; server_no_context_takeover; server_no_context_takeover",
        "; client_no_context_takeover; client_no_context_takeover",
        "; server_max_window_bits=10; server_max_window_bits=10",
        "; client_max_window_bits=10; client_max_window_bits=10",
        "; server_max_window_bits",
        // Only an offer has it so.
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
        refused.extend(NO_WINDOW.map(|value| (full.clone(), format!("; {name}{value}"))));
    }
    // The server accepts what was asked for by saying it as well (§7.1.1.1, §7.1.2.1), or does not accept at all.
    refused.push((Deflate::new().peer_context_takeover(false), String::new()));
    refused.push((Deflate::new().peer_context_takeover(false), "; client_no_context_takeover".to_owned()));
    refused.push((Deflate::new().peer_window_bits(10), String::new()));
    refused.push((Deflate::new().peer_window_bits(10), "; server_max_window_bits=11".to_owned()));
    refused.push((Deflate::new().window_bits(10), "; client_max_window_bits=11".to_owned()));
    for (client, answer) in refused {
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
fn the_error_says_what_is_wrong() {
    let full = Deflate::new();
    for (client, answer, says) in [
        (&full, "2", "not offered"),
        (&full, "; mystery", "unknown"),
        (&full, "; server_max_window_bits=16", "8 to 15"),
        (&full, "; client_max_window_bits", "without a value"),
        (&full, "; client_no_context_takeover; client_no_context_takeover", "repeated"),
        (&Deflate::new().peer_context_takeover(false), "", "server_no_context_takeover"),
        (&Deflate::new().peer_window_bits(9), "", "server_max_window_bits"),
    ] {
        let error = agree(client, answer).unwrap_err();
        assert!(error.contains(says), "{answer:?}: {error}");
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

/// What stands in such fields, and what resembles it.
fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        8 => prop::sample::select(&[
            "permessage-deflate", "server_no_context_takeover", "client_no_context_takeover",
            "server_max_window_bits", "client_max_window_bits", "=8", "=9", "=10", "=15", "=16", "=\"12\"",
        ][..]).prop_map(|text| text.as_bytes().to_vec()),
        6 => prop::sample::select(&[";", ",", "; ", ", ", "=", "\"", "\\", " ", "\t"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(prop_oneof![32..127_u8, 128..=255_u8], 0..6),
    ];
    vec(vec(piece, 0..16).prop_map(|pieces| pieces.concat()), 0..4)
}

proptest! {
    #[test]
    fn no_field_is_too_strange(deflate in settings(), lines in lines()) {
        let headers = headers(&lines);
        if let Some((terms, answer)) = deflate.accept(&headers) {
            prop_assert!(terms.ours.window_bits >= 9);
            prop_assert!(answer.to_str().unwrap().starts_with("permessage-deflate"));
        }
        if let Ok(Some(terms)) = deflate.agree(&headers) {
            prop_assert!((8..=15).contains(&terms.ours.window_bits) && terms.theirs.window_bits <= deflate.theirs.window_bits);
        }
    }

    /// Whatever else the client offers beside: the answer is one that it takes, and both mean the same.
    #[test]
    fn a_client_agrees_to_every_answer_to_its_offer(
        client in settings(), server in settings(), others in prop::sample::select(&[
            "", "permessage-deflate; mystery, ", "permessage-bzip2, ", ", ", "broken one, ",
        ][..]),
    ) {
        let offer = client.offer();
        let offers = headers(&[format!("{others}{}", offer.to_str().unwrap())]);
        let accepted = server.accept(&offers);
        // Only what zlib cannot is declined, since the client can always be told.
        prop_assert_eq!(accepted.is_none(), client.theirs.window_bits == 8);
        if let Some((terms, answer)) = accepted {
            let agreed = client.agree(&headers(&[answer])).unwrap().unwrap();
            prop_assert_eq!(agreed, Terms { ours: terms.theirs, theirs: terms.ours });
        }
    }
}
