//! Requests with and without a token, and what their answers have.

use super::rule::{TokenRule, TokenSource};
use super::{Token, Tokens};
use ::http::header::{self, HeaderValue};
use ::http::{HeaderMap, Request};
use core::time::Duration;
use std::time::UNIX_EPOCH;
use ws_proto::{HeadRule, Moment, RequestError, RequestHead, Transport, WallClock};

const TOKEN: &str = "BwcHBwcHBwcHBwcHBwcHBw";

fn token() -> Token {
    Token::from_random([7; 16])
}

fn source(rule: &TokenRule, query: Option<&str>, headers: &HeaderMap) -> Option<TokenSource> {
    rule.find(query, headers).map(|found| found.source)
}

fn rule() -> TokenRule {
    TokenRule::new(Token::from_random([7; 16])).port(8700)
}

fn header(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

#[test]
fn a_token_does_not_show_in_logs_and_needs_no_encoding_in_a_url() {
    let token = Token::from_random([0xfb; 32]);
    assert!(!format!("{:?}", TokenRule::new(token.clone())).contains(token.as_str()));
    assert!(token.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
}

#[test]
fn the_token_is_found_in_the_query() {
    let none = HeaderMap::new();
    let check = |query: &str| source(&rule(), Some(query), &none);
    assert_eq!(check(&format!("token={TOKEN}")), Some(TokenSource::Query));
    assert_eq!(check(&format!("a=b&token=wrong&token={TOKEN}&c")), Some(TokenSource::Query));
    for bad in ["", "token", "token=", &format!("Token={TOKEN}"), &format!("xtoken={TOKEN}")] {
        assert_eq!(check(bad), None, "{bad}");
    }
    assert_eq!(source(&rule(), None, &none), None);
}

#[test]
fn the_token_is_found_in_the_cookie() {
    let set = rule().set_cookie(&token(), Transport::default());
    assert!(set.ends_with("; HttpOnly; SameSite=Strict"), "{set}");
    let pair = set.split(';').next().unwrap();
    for value in [pair.to_owned(), format!("a=b; {pair}; c=d"), format!("ws_token_8700=old; {pair}")] {
        let source = source(&rule(), Some("token=old"), &header(header::COOKIE, &value));
        assert_eq!(source, Some(TokenSource::Header), "{value}");
    }
    for bad in [format!("ws_token={TOKEN}"), format!("ws_token_1={TOKEN}"), format!("x{pair}")] {
        assert_eq!(source(&rule(), None, &header(header::COOKIE, &bad)), None, "{bad}");
    }
}

#[test]
fn the_cookie_is_secure_where_the_client_speaks_tls() {
    let is_secure =
        |transport: Transport, own| rule().secure(own).set_cookie(&token(), transport).ends_with("; Secure");
    let direct = Transport::default();
    assert!(is_secure(direct, true) && !is_secure(direct.secure(true), false));
    let mut proxied = direct;
    proxied.forwarded = true;
    assert!(is_secure(proxied.secure(true), false) && !is_secure(proxied, true));
}

#[test]
fn no_other_cookie_hides_the_token() {
    let own = format!("ws_token_8700={TOKEN}");
    let check = |lines: &[Vec<u8>]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        source(&rule(), None, &headers)
    };
    let others = [
        "name=Zo\u{eb}",
        "\u{eb}",
        "=",
        "=x",
        "x",
        "",
        "a=\"",
        "a=\"x",
        "\"",
        "a b=c d",
        " ",
        "a==",
        "ws_token_8700=",
    ];
    let mut others: Vec<Vec<u8>> = others.map(|other| other.as_bytes().to_vec()).to_vec();
    others.extend((0x80..=0xff).flat_map(|b| [vec![b'n', b'=', b], vec![b, b'=', b'v'], vec![b]]));
    others.push(b"ws_token_8700=\xff".to_vec());
    for other in others {
        for parts in [
            vec![[&other[..], b"; ", own.as_bytes()].concat()],
            vec![[own.as_bytes(), b"; ", &other[..]].concat()],
            vec![[&other[..], b";", own.as_bytes(), b" ; ", &other[..]].concat()],
            vec![other.clone(), own.clone().into_bytes()],
            vec![own.clone().into_bytes(), other.clone()],
        ] {
            assert_eq!(check(&parts), Some(TokenSource::Header), "{parts:?}");
        }
        assert_eq!(check(&[other]), None, "alone it is not a token");
    }
    let changed = [own.as_bytes(), b"\xff"].concat();
    assert_eq!(check(&[changed]), None);
}

#[test]
fn no_other_credentials_hide_the_token() {
    for other in [&b"Basic Zo\xeb"[..], b"\xff", b"", b"Bearer", b"Bearer \xff"] {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(other).unwrap());
        assert_eq!(source(&rule(), None, &headers), None);
        headers.append(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
        assert_eq!(source(&rule(), None, &headers), Some(TokenSource::Header), "{other:?}");
    }
}

#[test]
fn bearer_authorization_is_accepted() {
    for value in [format!("Bearer {TOKEN}"), format!("bearer  {TOKEN}")] {
        assert_eq!(source(&rule(), None, &header(header::AUTHORIZATION, &value)), Some(TokenSource::Header));
    }
    for bad in [TOKEN.to_owned(), format!("Basic {TOKEN}"), "Bearer".to_owned(), format!("Bearer{TOKEN}")] {
        assert_eq!(source(&rule(), None, &header(header::AUTHORIZATION, &bad)), None, "{bad}");
    }
}

fn request(target: &str, fields: HeaderMap) -> Request<()> {
    let mut request = Request::get(target).body(()).unwrap();
    *request.headers_mut() = fields;
    request
}

/// What the rule adds to the answer to this request.
fn completed(request: &Request<()>, is_upgrade: bool, mut response: HeaderMap) -> HeaderMap {
    rule().complete(&RequestHead::new(request, is_upgrade), &mut response);
    response
}

#[test]
fn requests_with_the_token_pass_and_others_are_unauthorized() {
    let cookie = || header(header::COOKIE, &format!("ws_token_8700={TOKEN}"));
    for (target, fields, is_in) in [
        (format!("/?token={TOKEN}"), HeaderMap::new(), true),
        ("/".to_owned(), cookie(), true),
        ("/?token=wrong".to_owned(), HeaderMap::new(), false),
        ("/".to_owned(), HeaderMap::new(), false),
    ] {
        let request = request(&target, fields);
        for is_upgrade in [false, true] {
            let checked = rule().check(&RequestHead::new(&request, is_upgrade));
            assert_eq!(checked, if is_in { Ok(()) } else { Err(RequestError::Unauthorized) }, "{target}");
        }
    }
}

#[test]
fn the_token_in_the_query_sets_the_cookie_once() {
    let known = header(header::COOKIE, &format!("ws_token_8700={TOKEN}"));
    for (fields, cookies) in [(HeaderMap::new(), 1), (known, 0)] {
        let request = request(&format!("/?token={TOKEN}"), fields);
        for is_upgrade in [false, true] {
            let headers = completed(&request, is_upgrade, HeaderMap::new());
            assert_eq!(headers.get_all(header::SET_COOKIE).iter().count(), cookies);
            // Also if the cookie is already set: the page was opened by its link again.
            let policy = headers.get(header::REFERRER_POLICY);
            assert_eq!(policy.is_some_and(|policy| policy == "same-origin"), !is_upgrade);
        }
    }
}

#[test]
fn a_page_without_the_token_in_its_link_keeps_its_policy() {
    let known = header(header::COOKIE, &format!("ws_token_8700={TOKEN}"));
    for target in ["/", "/?token=old", &format!("/?xtoken={TOKEN}")] {
        let request = request(target, known.clone());
        assert!(completed(&request, false, HeaderMap::new()).is_empty(), "{target}");
    }
}

#[test]
fn a_page_with_its_own_referrer_policy_keeps_it() {
    let request = request(&format!("/?token={TOKEN}"), HeaderMap::new());
    let headers = completed(&request, false, header(header::REFERRER_POLICY, "no-referrer"));
    assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(headers.get_all(header::REFERRER_POLICY).iter().count(), 1);
}

#[test]
fn the_cookie_does_not_show_in_logs() {
    let request = request(&format!("/?token={TOKEN}"), HeaderMap::new());
    for is_upgrade in [false, true] {
        let headers = completed(&request, is_upgrade, HeaderMap::new());
        assert!(headers[header::SET_COOKIE].to_str().unwrap().contains(TOKEN));
        assert!(!format!("{headers:?}").contains(TOKEN), "{headers:?}");
    }
}

/// The check of a request for this target, from this address, at this second.
fn ask(rule: &TokenRule, target: &str, client: [u8; 4], second: u64) -> Result<(), RequestError> {
    let request = request(target, HeaderMap::new());
    let now = Moment::default() + Duration::from_secs(second);
    let transport = Transport::default().peer(Some((client, 1).into()));
    rule.check(&RequestHead::new(&request, false).over(transport).at(now))
}

#[test]
fn wrong_tokens_are_limited_and_right_ones_never() {
    let rule = rule().guesses(Some(10));
    let (right, address) = (format!("/?token={TOKEN}"), [192, 0, 2, 1]);
    for _ in 0..10 {
        assert_eq!(ask(&rule, "/?token=wrong", address, 5), Err(RequestError::Unauthorized));
    }
    let too_many = RequestError::TooManyTokens { retry_after: Duration::from_secs(50) };
    assert_eq!(ask(&rule, "/?token=wrong", address, 15), Err(too_many));
    assert_eq!(ask(&rule, "/", address, 15), Err(RequestError::Unauthorized), "no guess");
    assert_eq!(ask(&rule, "/?token=wrong", [192, 0, 2, 2], 15), Err(RequestError::Unauthorized));
    for second in 0..1000 {
        assert_eq!(ask(&rule, &right, address, second), Ok(()), "others behind the same address");
    }
    assert_eq!(ask(&rule, "/?token=wrong", address, 65), Err(RequestError::Unauthorized));
    let unlimited = self::rule();
    assert!(
        (0..99).all(|_| { ask(&unlimited, "/?token=wrong", address, 0) == Err(RequestError::Unauthorized) })
    );
}

#[test]
fn requests_without_a_token_are_no_guesses() {
    let rule = rule().guesses(Some(0));
    assert_eq!(ask(&rule, "/?a=b", [192, 0, 2, 1], 0), Err(RequestError::Unauthorized));
    for fields in [header(header::COOKIE, "ws_token_8701=other"), header(header::AUTHORIZATION, "Basic QTpC")]
    {
        let request = request("/", fields);
        let checked = rule.check(&RequestHead::new(&request, false).at(Moment::default()));
        assert_eq!(checked, Err(RequestError::Unauthorized));
    }
    for fields in
        [header(header::COOKIE, "ws_token_8700=wrong"), header(header::AUTHORIZATION, "Bearer wrong")]
    {
        let request = request("/", fields);
        let checked = rule.check(&RequestHead::new(&request, false).at(Moment::default()));
        assert!(matches!(checked, Err(RequestError::TooManyTokens { .. })), "{checked:?}");
    }
}

#[test]
fn each_bearer_keeps_its_own_token_in_its_cookie() {
    let tokens = Tokens::new();
    let other = Token::from_random([8; 16]);
    tokens.add(token());
    let id = tokens.add(other.clone());
    let rule = TokenRule::of(tokens.clone());
    let request = request(&format!("/?token={}", other.as_str()), HeaderMap::new());
    let head = RequestHead::new(&request, false);
    assert_eq!(rule.token_of(&head), Some(id));
    let mut response = HeaderMap::new();
    rule.complete(&head, &mut response);
    assert!(response[header::SET_COOKIE].to_str().unwrap().contains(other.as_str()));
    assert!(tokens.revoke(id) && !rule.accepts(id));
    assert_eq!((rule.token_of(&head), rule.check(&head)), (None, Err(RequestError::Unauthorized)));
}

#[test]
fn the_link_of_another_token_replaces_the_one_in_the_cookie() {
    let tokens = Tokens::new();
    let new = Token::from_random([8; 16]);
    let (old_id, new_id) = (tokens.add(token()), tokens.add(new.clone()));
    let rule = TokenRule::of(tokens.clone());
    let cookie = |token: &Token| header(header::COOKIE, &format!("ws_token={}", token.as_str()));
    let seen = |target: &str, fields| {
        let request = request(target, fields);
        let head = RequestHead::new(&request, false);
        let mut response = HeaderMap::new();
        rule.complete(&head, &mut response);
        (rule.token_of(&head), response.get(header::SET_COOKIE).map(|set| set.to_str().unwrap().to_owned()))
    };
    let link = format!("/?token={}", new.as_str());
    let (id, set) = seen(&link, cookie(&token()));
    assert_eq!(id, Some(new_id));
    assert!(set.is_some_and(|set| set.contains(new.as_str())));
    assert_eq!(seen(&link, cookie(&new)), (Some(new_id), None), "the browser has it");
    assert_eq!(seen("/?token=wrong", cookie(&token())), (Some(old_id), None));
    assert!(tokens.revoke(new_id));
    assert_eq!(seen(&link, cookie(&token())), (Some(old_id), None), "it is as wrong as any other");
}

#[test]
fn a_token_with_an_end_needs_the_time_of_day() {
    let tokens = Tokens::new();
    let end = UNIX_EPOCH + Duration::from_secs(1000);
    tokens.add_until(token(), end);
    let clock = WallClock::new(end - Duration::from_secs(1));
    let rule = TokenRule::of(tokens).clock(Some(&clock));
    let target = format!("/?token={TOKEN}");
    assert_eq!(ask(&rule, &target, [192, 0, 2, 1], 0), Ok(()));
    clock.set(end);
    assert_eq!(ask(&rule, &target, [192, 0, 2, 1], 0), Err(RequestError::Unauthorized));
    assert_eq!(ask(&rule.clock(None), &target, [192, 0, 2, 1], 0), Err(RequestError::Unauthorized));
}
