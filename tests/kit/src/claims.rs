//! What proxies say of their clients, in each kind of header, and what spoofs it. All name the client 192.0.2.1.

use std::fmt::Write;

/// One kind of header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Forwarded,
    XForwarded,
    /// Version 1 of the PROXY protocol.
    Line,
    /// Version 2.
    Binary,
}

impl Claim {
    pub const ALL: [Self; 4] = [Self::Forwarded, Self::XForwarded, Self::Line, Self::Binary];

    /// The bytes before the connection.
    pub fn before(self) -> Vec<u8> {
        self.before_of([192, 0, 2, 1])
    }

    pub fn before_of(self, client: [u8; 4]) -> Vec<u8> {
        let [a, b, c, d] = client;
        match self {
            Self::Line => format!("PROXY TCP4 {a}.{b}.{c}.{d} 10.0.0.1 4711 443\r\n").into_bytes(),
            Self::Binary => {
                let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f";
                [&fixed[..], &client, &[10, 0, 0, 1, 0x12, 0x67, 1, 0xbb], &[4, 0, 0]].concat()
            }
            Self::Forwarded | Self::XForwarded => Vec::new(),
        }
    }

    /// The fields of a request, which also say `https` and `app.example`.
    pub fn fields(self) -> String {
        self.fields_of("192.0.2.1")
    }

    pub fn fields_of(self, client: &str) -> String {
        let mut fields = String::new();
        match self {
            Self::Forwarded => {
                write!(fields, "Forwarded: for={client};proto=https;host=app.example\r\n").unwrap();
            }
            Self::XForwarded => {
                write!(
                    fields,
                    "X-Forwarded-For: {client}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example\r\n"
                )
                .unwrap();
            }
            Self::Line | Self::Binary => {}
        }
        fields
    }
}
