//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
//!
//! ```text
//! extension-list  = 1#extension
//! extension       = token *( ";" extension-param )
//! extension-param = token [ "=" (token | quoted-string) ]
//! ```
//!
//! The value of a quoted string must be a token, too. Spaces and tabs are allowed around everything (RFC 2616 §2.1,
//! whose grammar §9.1 uses). Each byte is examined twice, and nothing is allocated.

use crate::fields::is_token;
use ::http::HeaderMap;
use ::http::header::SEC_WEBSOCKET_EXTENSIONS;

/// Not an extension or parameter by the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// An element of the list. Its parameters are parsed on demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension<'a> {
    name: &'a [u8],
    parameters: &'a [u8],
}

/// A parameter of an extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: Option<Value<'a>>,
}

/// A value, still with the backslashes of its quoted string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a>(&'a [u8]);

/// The elements over all lines. A malformed one ends at the next comma outside quotes; an unterminated quoted string
/// takes the rest of its line with it.
pub(crate) fn extensions(headers: &HeaderMap) -> impl Iterator<Item = Result<Extension<'_>, Malformed>> {
    headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().flat_map(|line| elements(line.as_bytes())).map(
        |element| {
            let mut scanner = Scanner(element);
            Ok(Extension { name: scanner.token()?, parameters: scanner.0 })
        },
    )
}

impl<'a> Extension<'a> {
    /// Whether it has this name, ignoring case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The parameters, up to the first malformed one.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = Result<Parameter<'a>, Malformed>> + use<'a> {
        let mut scanner = Scanner(self.parameters);
        core::iter::from_fn(move || {
            scanner.skip_spaces();
            if scanner.0.is_empty() {
                return None;
            }
            let parameter = scanner.parameter();
            if parameter.is_err() {
                scanner.0 = b"";
            }
            Some(parameter)
        })
    }
}

impl Value<'_> {
    /// The token that it encodes.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> {
        // No token contains a backslash.
        self.0.iter().copied().filter(|byte| *byte != b'\\')
    }
}

/// Splits a line at its commas, skipping empty elements.
fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut scanner = Scanner(line);
    core::iter::from_fn(move || {
        scanner.take(|byte| matches!(byte, b' ' | b'\t' | b','));
        let (mut quoted, mut escaped) = (false, false);
        let element = scanner.take(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b',' => return quoted,
                _ => {}
            }
            true
        });
        (!element.is_empty()).then_some(element)
    })
}

/// The rest of the input.
struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    /// The only way to advance.
    fn take(&mut self, mut belongs: impl FnMut(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !belongs(*byte)).unwrap_or(self.0.len());
        #[cfg(test)]
        tests::count_steps(end + 1);
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip_spaces(&mut self) {
        self.take(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn skip(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let token = self.take(|byte| is_token(&[byte]));
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// The content after the opening quote.
    fn quoted(&mut self) -> Result<&'a [u8], Malformed> {
        let mut escaped = false;
        let content = self.take(|byte| {
            escaped = byte == b'\\' && !escaped;
            escaped || is_token(&[byte])
        });
        // A trailing backslash would have escaped a byte that no token contains.
        let is_value = !content.is_empty() && !content.ends_with(b"\\");
        if is_value && self.skip(b'"') { Ok(content) } else { Err(Malformed) }
    }

    fn parameter(&mut self) -> Result<Parameter<'a>, Malformed> {
        if !self.skip(b';') {
            return Err(Malformed);
        }
        self.skip_spaces();
        let name = self.token()?;
        self.skip_spaces();
        if !self.skip(b'=') {
            return Ok(Parameter { name, value: None });
        }
        self.skip_spaces();
        let value = if self.skip(b'"') { self.quoted()? } else { self.token()? };
        Ok(Parameter { name, value: Some(Value(value)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;
    use core::cell::Cell;
    use proptest::collection::vec;
    use proptest::prelude::*;

    std::thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count_steps(n: usize) {
        STEPS.set(STEPS.get() + n);
    }

    fn headers<T: AsRef<[u8]>>(lines: &[T]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_bytes(line.as_ref()).unwrap());
        }
        headers
    }

    /// The list in one canonical form, `!` for what is malformed.
    fn read<T: AsRef<[u8]>>(lines: &[T]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = headers(lines);
        let elements = extensions(&headers).map(|extension| {
            let Ok(extension) = extension else { return "!".to_owned() };
            let mut element = text(extension.name);
            for parameter in extension.parameters() {
                element += &match parameter {
                    Ok(Parameter { name, value: None }) => format!(";{}", text(name)),
                    Ok(Parameter { name, value: Some(value) }) => {
                        format!(";{}={}", text(name), text(&value.bytes().collect::<Vec<_>>()))
                    }
                    Err(Malformed) => ";!".to_owned(),
                };
            }
            element
        });
        elements.collect()
    }

    #[test]
    fn elements_and_parameters_are_found_over_all_lines() {
        for (lines, want) in [
            (&["foo"][..], &["foo"][..]),
            (&["foo, bar; baz=2"], &["foo", "bar;baz=2"]), // RFC 6455 §9.1
            (&["foo", "bar; baz=2"], &["foo", "bar;baz=2"]),
            (&["a;b;c=d;b"], &["a;b;c=d;b"]),
            (&[" a\t; b \t=  c\t;d , e "], &["a;b=c;d", "e"]),
            (&[",, a ,\t,b,", "", ",", "c"], &["a", "b", "c"]),
            (&[r#"a;b="10""#], &["a;b=10"]),
            (&[r#"a;b = "\1\0" ; c"#], &["a;b=10;c"]),
            (&["!#$%&'*+-.^_`|~09azAZ"], &["!#$%&'*+-.^_`|~09azAZ"]),
            (&[""], &[]),
            (&[" \t,"], &[]),
        ] {
            assert_eq!(read(lines), want, "{lines:?}");
        }
    }

    #[test]
    fn list_continues_after_a_malformed_element() {
        for (broken, read_as) in [
            ("=", "!"),
            (";", "!"),
            ("; a", "!"),
            ("\"a\"", "!"),
            ("\u{e9}", "!"),
            ("a b", "a;!"),
            ("a/b", "a;!"),
            ("a\u{e9}", "a;!"),
            ("a=b", "a;!"),
            ("a\\", "a;!"),
            ("a;", "a;!"),
            ("a; ;b", "a;!"),
            ("a;b;", "a;b;!"),
            ("a;b c", "a;b;!"),
            ("a;b=", "a;!"),
            ("a;b=;c", "a;!"),
            ("a;b=c=d", "a;b=c;!"),
            ("a;b=\"\"", "a;!"),
            ("a;b=\"c d\"", "a;!"),
            ("a;b=\"c,d\"", "a;!"),
            ("a;b=\"c\\,d\"", "a;!"),
            ("a;b=\"c\\\\d\"", "a;!"),
            ("a;b=\"c\\\"d\"", "a;!"),
            ("a;b=\"c\u{e9}\"", "a;!"),
            ("a;b=\"c\"d", "a;b=c;!"),
            ("a;b=\\c", "a;!"),
            ("a;\"b,c\"", "a;!"),
            ("a\"b, permessage-deflate, c\"d", "a;!"),
        ] {
            assert_eq!(read(&[format!("{broken}, good;x")]), [read_as, "good;x"], "{broken}");
            assert_eq!(read(&[broken, "good;x"]), [read_as, "good;x"], "{broken}");
        }
        // An unterminated quoted string may extend past a comma, but not past its line.
        for broken in ["a;b=\"", "a;b=\"c", "a;b=\"c\\", "a;b=\"c\\\""] {
            assert_eq!(read(&[&format!("{broken}, hidden"), "good"]), ["a;!", "good"], "{broken}");
        }
    }

    #[test]
    fn names_ignore_case() {
        let headers = headers(&["PerMessage-DEFLATE"]);
        let extension = extensions(&headers).next().unwrap().unwrap();
        assert!(extension.is("permessage-deflate"));
        assert!(!extension.is("permessage-deflat") && !extension.is("permessage-deflate2"));
    }

    /// How many steps it takes to read everything.
    fn steps(line: &str) -> usize {
        STEPS.set(0);
        let headers = headers(&[line]);
        let parameters = extensions(&headers).flatten().flat_map(|extension| extension.parameters());
        std::hint::black_box(parameters.count());
        STEPS.get()
    }

    #[test]
    fn the_longest_field_is_read_in_linear_time() {
        for part in [
            ",",
            " ",
            "\t,",
            ";",
            "=",
            "\"",
            "\\",
            "a",
            "a,",
            "a;",
            "a;a",
            "a;a=a,",
            "a; ",
            "a=",
            "\"\\\"",
            "a;a=\"",
            "a;a=\"\\",
            "a;a=\"\\a\",",
            "\",\"",
            ";a=\"a\"",
            "a;a=\"a\";",
            "a;a=\"a, ",
            "\u{e9}",
            "\u{e9},",
        ] {
            for head in ["", "a", "a;", "a;b=\"", "a;b=\"\\"] {
                let line = format!("{head}{}", part.repeat((64 << 10) / part.len()));
                let taken = steps(&line);
                // Each byte twice, and a step for each end.
                assert!(taken <= 5 * line.len(), "{head}{part}…: {taken} steps for {} bytes", line.len());
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_parsed(lines in vec(vec(prop_oneof![
            prop::sample::select(&b",;=\"\\ \ta8"[..]), any::<u8>().prop_filter("a field has none", |byte| {
                *byte == b'\t' || *byte >= b' ' && *byte != 127
            })
        ], 0..40), 0..4)) {
            let count = read(&lines).len();
            let commas = lines.iter().flatten().filter(|byte| **byte == b',').count();
            prop_assert!(count <= commas + lines.len());
        }

        #[test]
        fn written_extensions_are_read_back(
            written in vec(("[a-z!~]{1,5}", vec(("[a-z0-9-]{1,5}", prop::option::of(("[a-z0-9]{1,5}", 0..3_u8))), 0..4)), 1..5),
            comma in "[ \t]{0,2},[ \t,]{0,2}", semicolon in "[ \t]{0,2};[ \t]{0,2}", equals in "[ \t]?=[ \t]?",
        ) {
            let mut lines = Vec::new();
            let mut want = Vec::new();
            for (name, parameters) in written {
                let (mut line, mut plain) = (name.clone(), name);
                for (name, value) in parameters {
                    line += &format!("{semicolon}{name}");
                    plain += &format!(";{name}");
                    if let Some((value, quotes)) = value {
                        plain += &format!("={value}");
                        line += &match quotes {
                            0 => format!("{equals}{value}"),
                            1 => format!("{equals}\"{value}\""),
                            _ => format!("{equals}\"\\{value}\""),
                        };
                    }
                }
                lines.push(line);
                want.push(plain);
            }
            prop_assert_eq!(&read(&lines), &want);
            prop_assert_eq!(&read(&[lines.join(&comma)]), &want);
        }
    }
}
