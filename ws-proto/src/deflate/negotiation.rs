//! How both ends agree on [`Terms`]: the client's offer, the server's answer (RFC 7692 §5, §7.1).

use super::settings::{Deflate, Direction, Terms};
use crate::fields::extensions::{Extension, Malformed, Value, extensions};
use ::http::HeaderMap;
use ::http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use core::fmt::Write as _;

const NAME: &str = "permessage-deflate";
/// The default window (§7.1.2).
const FULL: u8 = 15;

impl Deflate {
    /// Server: accepts the first acceptable offer (§5), and returns the agreed terms with the
    /// `Sec-WebSocket-Extensions` of the 101. `None` if there is no such offer: then nothing is compressed.
    ///
    /// [`Connection::accept`](crate::Connection::accept) does so automatically; this is for a handshake that is done
    /// elsewhere.
    ///
    /// ```
    /// # #[cfg(feature = "deflate")] {
    /// use http::HeaderMap;
    /// use ws_proto::Deflate;
    ///
    /// let mut request = HeaderMap::new();
    /// request.insert("sec-websocket-extensions", "permessage-deflate; client_max_window_bits".parse()?);
    /// let (terms, answer) = Deflate::new().peer_window_bits(12).accept(&request).ok_or("no offer will do")?;
    /// assert_eq!(answer, "permessage-deflate; client_max_window_bits=12");
    /// assert_eq!((terms.ours.window_bits, terms.theirs.window_bits), (15, 12));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accept(&self, offers: &HeaderMap) -> Option<(Terms, HeaderValue)> {
        extensions(offers).flatten().filter(|extension| extension.is(NAME)).find_map(|extension| {
            let answer = self.answer(&Parameters::parse(&extension).ok()?)?;
            let terms = Terms { ours: answer.server(), theirs: answer.client() };
            Some((terms, answer.header()))
        })
    }

    /// Client: the `Sec-WebSocket-Extensions` of a request.
    ///
    /// [`Connection::client`](crate::Connection::client) sends it automatically; this is for a handshake that is done
    /// elsewhere.
    ///
    /// ```
    /// # #[cfg(feature = "deflate")] {
    /// use ws_proto::Deflate;
    ///
    /// assert_eq!(Deflate::new().offer(), "permessage-deflate; client_max_window_bits");
    /// # }
    /// ```
    pub fn offer(&self) -> HeaderValue {
        self.offered().header()
    }

    /// Client: the terms of the server's answer to our [offer](Self::offer); `None` if nothing will be compressed.
    ///
    /// ```
    /// # #[cfg(feature = "deflate")] {
    /// use http::HeaderMap;
    /// use ws_proto::Deflate;
    ///
    /// let mut response = HeaderMap::new();
    /// response.insert("sec-websocket-extensions", "permessage-deflate; server_no_context_takeover".parse()?);
    /// let terms = Deflate::new().agree(&response)?.ok_or("the server will not")?;
    /// assert!(terms.ours.context_takeover && !terms.theirs.context_takeover);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the answer. The connection must then fail (§7.1), since the server assumes terms that we do
    /// not.
    pub fn agree(&self, response: &HeaderMap) -> Result<Option<Terms>, &'static str> {
        let mut lines = response.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
        if lines.next().is_none() {
            return Ok(None);
        }
        if lines.next().is_some() {
            return Err("several Sec-WebSocket-Extensions fields"); // RFC 6455 §11.3.2
        }
        let mut elements = extensions(response);
        let Some(Ok(extension)) = elements.next() else { return Err(MALFORMED) };
        if !extension.is(NAME) {
            return Err("an extension that was not offered");
        }
        if elements.next().is_some() {
            return Err("more than the offered extension");
        }
        let answer = Parameters::parse(&extension)?;
        self.offered().check(&answer)?;
        let client = answer.client();
        let ours = Direction {
            // Our own promise holds, whether the server acknowledges it or not (§7.1.1.2, §7.1.2.2).
            context_takeover: self.ours.context_takeover && client.context_takeover,
            window_bits: self.ours.window_bits.min(client.window_bits),
        };
        Ok(Some(Terms { ours, theirs: answer.server() }))
    }

    /// A server's answer to an offer; `None` declines it.
    fn answer(&self, offer: &Parameters) -> Option<Parameters> {
        let server_bits = match offer.server_max_window_bits {
            // A larger window would not fit the client's, and zlib cannot compress with one this small.
            Some(8) => return None,
            requested => self.ours.window_bits.min(requested.unwrap_or(FULL)),
        };
        let client_bits = match offer.client_max_window_bits {
            // Such a client accepts no limit, and may use the whole window (§7.1.2.2).
            None if self.theirs.window_bits < FULL => return None,
            None => FULL,
            Some(most) => self.theirs.window_bits.min(most.unwrap_or(FULL)),
        };
        Some(Parameters {
            server_no_context_takeover: offer.server_no_context_takeover || !self.ours.context_takeover,
            client_no_context_takeover: offer.client_no_context_takeover || !self.theirs.context_takeover,
            // Echoing the parameter accepts it, even for the whole window (§7.1.2.1).
            server_max_window_bits: (offer.server_max_window_bits.is_some() || server_bits < FULL)
                .then_some(server_bits),
            client_max_window_bits: (client_bits < FULL).then_some(Some(client_bits)),
        })
    }

    fn offered(&self) -> Parameters {
        let less = |bits: u8| (bits < FULL).then_some(bits);
        Parameters {
            server_no_context_takeover: !self.theirs.context_takeover,
            client_no_context_takeover: !self.ours.context_takeover,
            server_max_window_bits: less(self.theirs.window_bits),
            // Always: the server may choose, and has no reason to decline.
            client_max_window_bits: Some(less(self.ours.window_bits)),
        }
    }
}

/// Whether a request offers it.
pub(crate) fn is_offered(request: &HeaderMap) -> bool {
    extensions(request).flatten().any(|extension| extension.is(NAME))
}

/// The terms of an answer, with these settings or none, or what is wrong with it.
pub(crate) fn agree(settings: Option<&Deflate>, response: &HeaderMap) -> Result<Option<Terms>, &'static str> {
    match settings {
        Some(settings) => settings.agree(response),
        None if response.contains_key(SEC_WEBSOCKET_EXTENSIONS) => Err("an extension that was not offered"),
        None => Ok(None),
    }
}

const MALFORMED: &str = "the grammar of Sec-WebSocket-Extensions";

/// The parameters of an offer or of an answer (§7.1).
#[derive(Clone, Copy, Debug, Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// An offer may have it without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// Each at most once, each with a known name and a valid value (§7.1).
    fn parse(extension: &Extension<'_>) -> Result<Self, &'static str> {
        let mut this = Self::default();
        for parameter in extension.parameters() {
            let parameter = parameter.map_err(|Malformed| MALFORMED)?;
            let is = |name: &str| parameter.name.eq_ignore_ascii_case(name.as_bytes());
            let bits =
                parameter.value.map(|value| window_bits(value).ok_or("a window that is not 8 to 15 bits"));
            let is_repeated = if is("server_no_context_takeover") || is("client_no_context_takeover") {
                if parameter.value.is_some() {
                    return Err("a value for a parameter that takes none");
                }
                let flag = if is("server_no_context_takeover") {
                    &mut this.server_no_context_takeover
                } else {
                    &mut this.client_no_context_takeover
                };
                core::mem::replace(flag, true)
            } else if is("server_max_window_bits") {
                let bits = bits.ok_or("server_max_window_bits without a value")??;
                this.server_max_window_bits.replace(bits).is_some()
            } else if is("client_max_window_bits") {
                this.client_max_window_bits.replace(bits.transpose()?).is_some()
            } else {
                return Err("an unknown parameter of permessage-deflate");
            };
            if is_repeated {
                return Err("a parameter of permessage-deflate that is repeated");
            }
        }
        Ok(this)
    }

    /// Checks an answer to this offer.
    fn check(&self, answer: &Self) -> Result<(), &'static str> {
        // A server accepts these two by echoing them (§7.1.1.1, §7.1.2.1).
        if self.server_no_context_takeover && !answer.server_no_context_takeover {
            return Err("no server_no_context_takeover, which was requested");
        }
        if let Some(most) = self.server_max_window_bits
            && answer.server_max_window_bits.is_none_or(|bits| bits > most)
        {
            return Err("a larger server_max_window_bits than was requested");
        }
        match (self.client_max_window_bits, answer.client_max_window_bits) {
            (_, None) => Ok(()),
            (None, Some(_)) => Err("client_max_window_bits, which was not offered"),
            (Some(_), Some(None)) => Err("client_max_window_bits without a value"),
            (Some(most), Some(Some(bits))) if bits > most.unwrap_or(FULL) => {
                Err("a larger client_max_window_bits than was offered")
            }
            (Some(_), Some(Some(_))) => Ok(()),
        }
    }

    /// The terms of this answer for the server's messages.
    fn server(&self) -> Direction {
        Direction {
            context_takeover: !self.server_no_context_takeover,
            window_bits: self.server_max_window_bits.unwrap_or(FULL),
        }
    }

    /// The terms of this answer for the client's messages.
    fn client(&self) -> Direction {
        Direction {
            context_takeover: !self.client_no_context_takeover,
            window_bits: self.client_max_window_bits.flatten().unwrap_or(FULL),
        }
    }

    fn header(&self) -> HeaderValue {
        let mut text = String::from(NAME);
        for (is_set, name) in [
            (self.server_no_context_takeover, "server_no_context_takeover"),
            (self.client_no_context_takeover, "client_no_context_takeover"),
        ] {
            if is_set {
                text += "; ";
                text += name;
            }
        }
        // Writing to a String does not fail.
        if let Some(bits) = self.server_max_window_bits {
            let _ = write!(text, "; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => drop(write!(text, "; client_max_window_bits={bits}")),
            Some(None) => text += "; client_max_window_bits",
            None => {}
        }
        // Letters, digits and signs are a valid value.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(NAME))
    }
}

/// 8 to 15, without leading zeros (§7.1.2).
fn window_bits(value: Value<'_>) -> Option<u8> {
    let mut digits = value.bytes();
    match (digits.next()?, digits.next(), digits.next()) {
        (ones @ b'8'..=b'9', None, None) => Some(ones - b'0'),
        (b'1', Some(ones @ b'0'..=b'5'), None) => Some(10 + ones - b'0'),
        _ => None,
    }
}
