//! Valid and faulty streams of frames.

use crate::rng::Rng;
use crate::{MESSAGE_LIMIT, Role};

/// A stream for a reader in this role. Most have a fault.
pub(crate) fn stream(role: Role, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    let has_fault = rng.percent(50);
    for _ in 0..1 + rng.below(6) {
        if has_fault && rng.percent(20) {
            fault(role, rng, &mut bytes);
        } else {
            message(role, rng, &mut bytes);
        }
    }
    for _ in 0..rng.pick(&[0, 0, 0, 1, 1, 3]) {
        mutate(rng, &mut bytes);
    }
    bytes
}

/// A frame with the shortest length form, masked where a server reads it.
fn frame(role: Role, first: u8, payload: &[u8], rng: &mut Rng) -> Vec<u8> {
    let form = match payload.len() {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    framed(role == Role::Server, first, form, payload.len() as u64, payload, rng)
}

fn framed(is_masked: bool, first: u8, form: usize, len: u64, payload: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match form {
        0 => bytes.push(mask | len as u8 & 0x7f),
        2 => {
            bytes.push(mask | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend(len.to_be_bytes());
        }
    }
    let key = if is_masked { (rng.next() as u32).to_be_bytes() } else { [0; 4] };
    if is_masked {
        bytes.extend(key);
    }
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn payload(is_text: bool, rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(20) {
        0..15 => rng.below(30),
        15..18 => rng.pick(&[0, 125, 126, 127, 300]),
        18 => rng.pick(&[65_535, 65_536]),
        _ => rng.below(2000),
    };
    if !is_text {
        return (0..len).map(|_| rng.next() as u8).collect();
    }
    let mut text = String::new();
    while text.len() < len {
        text.push(rng.pick(&[
            'a',
            '0',
            ' ',
            '\u{e9}',
            '\u{20ac}',
            '\u{1f600}',
            '\u{0}',
            '\u{ffff}',
            '\u{10ffff}',
        ]));
    }
    text.into_bytes()
}

/// A message in one frame or more, with control frames between; or a Close.
fn message(role: Role, rng: &mut Rng, out: &mut Vec<u8>) {
    match rng.below(20) {
        0..3 => return control(role, rng, out),
        3 => return close(role, rng, out),
        _ => {}
    }
    let opcode = rng.pick(&[1, 2]);
    let whole = payload(opcode == 1, rng);
    let fragments = if rng.percent(60) { 1 } else { 1 + rng.below(4) };
    let mut rest = &whole[..];
    for n in 0..fragments {
        let is_last = n + 1 == fragments;
        let (part, after) = rest.split_at(if is_last { rest.len() } else { rng.below(rest.len() + 1) });
        rest = after;
        let first = if n == 0 { opcode } else { 0 } | if is_last { 0x80 } else { 0 };
        out.extend(frame(role, first, part, rng));
        if !is_last && rng.percent(30) {
            control(role, rng, out);
        }
    }
}

fn control(role: Role, rng: &mut Rng, out: &mut Vec<u8>) {
    let mut payload = payload(false, rng);
    payload.truncate(125);
    out.extend(frame(role, rng.pick(&[0x89, 0x8a]), &payload, rng));
}

fn close(role: Role, rng: &mut Rng, out: &mut Vec<u8>) {
    let code = match rng.below(4) {
        0 => 1000 + rng.below(20) as u16,
        1 => 3000 + rng.below(2000) as u16,
        2 => rng.next() as u16,
        _ => rng.pick(&[0, 999, 1000, 1015, 1016, 2999, 3000, 4999, 5000, 65535]),
    };
    let mut body = code.to_be_bytes().to_vec();
    let mut reason = payload(true, rng);
    reason.truncate(if rng.percent(80) { 0 } else { 123 });
    body.extend(reason);
    match rng.below(10) {
        0 => body.clear(),
        1 => body.truncate(1),
        _ => {}
    }
    out.extend(frame(role, 0x88, &body, rng));
}

/// Breaks one rule.
fn fault(role: Role, rng: &mut Rng, out: &mut Vec<u8>) {
    let is_masked = role == Role::Server;
    let some = payload(rng.percent(50), rng);
    let len = some.len() as u64;
    match rng.below(12) {
        0 => out.extend(frame(role, 0x81 | rng.pick(&[0x10, 0x20, 0x40, 0x70]), &some, rng)),
        1 => out.extend(frame(role, 0x80 | rng.pick(&[3, 4, 7, 11, 12, 15]), &some, rng)),
        2 => out.extend(framed(!is_masked, 0x82, if len > 125 { 8 } else { 0 }, len, &some, rng)),
        // Length forms longer than needed.
        3 => out.extend(framed(is_masked, 0x82, rng.pick(&[2, 8]), len & 0xffff, &some, rng)),
        4 => out.extend(framed(is_masked, 0x82, 8, rng.next() | 1 << 63, &some, rng)),
        5 => out.extend(framed(is_masked, 0x82, 8, rng.next() >> rng.below(60), &some, rng)),
        6 => out.extend(frame(role, rng.pick(&[8, 9, 10]), &some[..some.len().min(125)], rng)),
        7 => out.extend(framed(is_masked, rng.pick(&[0x88, 0x89, 0x8a]), 2, len.max(126), &some, rng)),
        8 => out.extend(frame(role, 0x80, &some, rng)),
        9 => {
            out.extend(frame(role, 1, &some, rng));
            out.extend(frame(role, rng.pick(&[0x81, 2]), &some, rng));
        }
        10 => {
            // Invalid UTF-8: cut, or broken.
            let mut text = payload(true, rng);
            let at = rng.below(text.len() + 1);
            text.insert(at, rng.pick(&[0xff, 0x80, 0xc0, 0xed, 0xf5]));
            let first = rng.pick(&[0x81, 0x81, 1]);
            out.extend(frame(role, first, &text, rng));
        }
        _ => out.extend(frame(role, 0x82, &vec![0; MESSAGE_LIMIT + rng.below(3)], rng)),
    }
}

/// Changes bytes regardless of frames.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    // The beginning of a stream has more structure.
    let most = if rng.percent(50) { bytes.len().min(20) } else { bytes.len() };
    let at = rng.below(most);
    match rng.below(7) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.next() as u8,
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, rng.next() as u8),
        4 => bytes.truncate(at),
        5 => {
            let part = bytes[at..bytes.len().min(at + rng.below(100))].to_vec();
            let to = rng.below(bytes.len());
            bytes.splice(to..to, part);
        }
        _ => bytes[at] = rng.pick(&[0, 1, 0x7e, 0x7f, 0x80, 0x81, 0x88, 0xfe, 0xff]),
    }
}

/// The length of the frame that begins here, by its header; `None` if that is incomplete.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let form = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let header = 2 + form + if second & 0x80 != 0 { 4 } else { 0 };
    let extended = bytes.get(2..2 + form)?;
    let len = match form {
        0 => u64::from(second & 0x7f),
        _ => extended.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
    };
    usize::try_from(len).ok()?.checked_add(header)
}

/// The missing bytes of the frame that begins at `at`, as zeros; `None` if they are too many to generate.
pub(crate) fn rest(bytes: &[u8], at: usize) -> Option<Vec<u8>> {
    let mut whole = bytes[at..].to_vec();
    let before = whole.len();
    while frame_length(&whole).is_none() {
        whole.push(0);
    }
    let len = frame_length(&whole)?;
    (len <= 2 * MESSAGE_LIMIT).then(|| vec![0; len.max(whole.len()) - before])
}
