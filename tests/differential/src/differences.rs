//! Where the other implementations differ from ours, by the rule in question. Each has the smallest bytes that show it.

use crate::ours::{self, Ours};
use crate::rng::Rng;
use crate::{Other, Others, Outcome, Role};
use std::error::Error;
use ws_proto::ProtocolError::{
    CloseCodeInvalid, CloseReasonNotUtf8, ControlTooLong, LengthNotMinimal, LengthOverflow,
};

/// A stream that is read differently.
pub(crate) struct Case<'a> {
    pub(crate) ours: &'a Ours,
    pub(crate) theirs: &'a Outcome,
    /// Their outcome given the rest of the frame that they wait for.
    pub(crate) completed: Option<&'a Outcome>,
    /// That rest is too long to be generated.
    pub(crate) is_endless: bool,
}

impl Case<'_> {
    /// Given the rest of the frame, they answer the same.
    fn is_reported_later(&self) -> bool {
        self.completed == Some(&self.ours.outcome)
    }

    /// They wait for a frame that declares a huge length, though its header shows the fault.
    fn is_reported_much_later(&self) -> bool {
        let is_header = self.ours.outcome.close == Some(1002);
        self.is_endless && is_header && self.theirs.close.is_none() && self.receive_the_same()
    }

    fn receive_the_same(&self) -> bool {
        self.theirs.messages == self.ours.outcome.messages && self.theirs.pongs == self.ours.outcome.pongs
    }

    /// They accept what we reject; everything received before it is the same.
    fn they_continue(&self) -> bool {
        self.theirs.messages.starts_with(&self.ours.outcome.messages)
            && self.theirs.pongs.starts_with(&self.ours.outcome.pongs)
    }

    fn close_with(&self, ours: u16, theirs: u16) -> bool {
        (self.ours.outcome.close, self.theirs.close) == (Some(ours), Some(theirs)) && self.receive_the_same()
    }
}

pub(crate) struct Difference {
    pub(crate) with: Other,
    /// The section, and what the other implementation does.
    pub(crate) rule: &'static str,
    role: Role,
    input: &'static [u8],
    ours: &'static str,
    theirs: &'static str,
    /// Whether a case matches.
    pub(crate) matches: fn(&Case<'_>) -> bool,
}

use Other::{Tungstenite, Wsproto};
use Role::{Client, Server};

pub(crate) const DIFFERENCES: [Difference; 11] = [
    Difference {
        with: Tungstenite,
        rule: "§7.1.7 does not say when: a fault is reported once the frame is whole",
        role: Client,
        input: b"\x91\x01",
        ours: "close 1002",
        theirs: "waits",
        matches: |case| case.is_reported_later() || case.is_reported_much_later(),
    },
    Difference {
        with: Tungstenite,
        rule: "§5.2, the minimal number of bytes MUST be used for a length: any is accepted",
        role: Client,
        input: b"\x82\x7e\x00\x01x",
        ours: "close 1002",
        theirs: "binary x waits",
        matches: |case| case.ours.error == Some(LengthNotMinimal) && case.they_continue(),
    },
    Difference {
        with: Tungstenite,
        rule: "§5.5, a control frame has at most 125 bytes: a longer form of a shorter length is accepted",
        role: Client,
        input: b"\x89\x7e\x00\x01x",
        ours: "close 1002",
        theirs: "pong x waits",
        matches: |case| case.ours.error == Some(ControlTooLong) && case.they_continue(),
    },
    Difference {
        with: Tungstenite,
        rule: "§5.2, the highest bit of a 64-bit length MUST be 0: it counts as a length, and is too big",
        role: Client,
        input: b"\x82\x7f\x80\0\0\0\0\0\0\0",
        ours: "close 1002",
        theirs: "close 1009",
        matches: |case| case.ours.error == Some(LengthOverflow) && case.close_with(1002, 1009),
    },
    Difference {
        with: Tungstenite,
        rule: "§7.1.7 does not say which: a frame that is too big and has another fault is too big",
        role: Client,
        input: b"\x92\x7f\0\0\0\0\0\x01\x86\xa1",
        ours: "close 1002",
        theirs: "close 1009",
        matches: |case| case.close_with(1002, 1009),
    },
    Difference {
        with: Tungstenite,
        rule: "§7.4.2 and the registry of IANA: 1014 is not a code",
        role: Client,
        input: b"\x88\x02\x03\xf6",
        ours: "close 1014",
        theirs: "close 1002",
        matches: |case| case.close_with(1014, 1002),
    },
    Difference {
        with: Tungstenite,
        rule: "§7.1.7 does not say which: in a Close with a wrong code and an invalid UTF-8 reason, the reason counts",
        role: Client,
        input: b"\x88\x03\x03\xec\xff",
        ours: "close 1002",
        theirs: "close 1007",
        matches: |case| matches!(case.ours.error, Some(CloseCodeInvalid(_))) && case.close_with(1002, 1007),
    },
    Difference {
        with: Wsproto,
        rule: "§7.1.7 does not say when: a fault is reported once the header is whole",
        role: Client,
        input: b"\x91",
        ours: "close 1002",
        theirs: "waits",
        matches: |case| case.is_reported_later() || case.is_reported_much_later(),
    },
    Difference {
        with: Wsproto,
        rule: "§10.4, an endpoint may limit message sizes: this one does not",
        role: Client,
        input: b"\x82\x7f\0\0\0\0\0\x01\x86\xa1",
        ours: "close 1009",
        theirs: "waits",
        matches: |case| case.ours.outcome.close == Some(1009) && case.they_continue(),
    },
    Difference {
        with: Wsproto,
        rule: "§7.4.2 and the registry of IANA: 1014 is not a code",
        role: Server,
        input: b"\x88\x82\0\0\0\0\x03\xf6",
        ours: "close 1014",
        theirs: "close 1002",
        matches: |case| case.close_with(1014, 1002),
    },
    Difference {
        with: Wsproto,
        rule: "§7.4.2 again: 1014 with an invalid UTF-8 reason",
        role: Client,
        input: b"\x88\x03\x03\xf6\xff",
        ours: "close 1007",
        theirs: "close 1002",
        matches: |case| case.ours.error == Some(CloseReasonNotUtf8) && case.close_with(1007, 1002),
    },
];

impl Difference {
    /// Fails if the difference no longer exists.
    pub(crate) fn still_exists(&self, others: &mut Others) -> Result<Result<(), String>, Box<dyn Error>> {
        let ours = ours::read(self.role, self.input, &mut Rng::new(0))?;
        let theirs = others.read(self.with, self.role, self.input)?;
        let (here, there) = (ours.outcome.to_string(), theirs.to_string());
        Ok(if (&*here, &*there) == (self.ours, self.theirs) {
            Ok(())
        } else {
            Err(format!("ours: {here:?}, theirs: {there:?}"))
        })
    }
}
