//! Broadcasts: one message is compressed once for all matching windows, without breaking messages to a single peer.

use super::reader::{Read, Reader};
use bytes::Buf;
use std::sync::Arc;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::deflate::{Direction, Terms};
use ws_proto::{Config, Connection, Frame, Moment, Opcode, Role};

/// A recipient.
struct Member {
    connection: Connection,
    now: Moment,
    reader: Reader,
}

impl Member {
    fn new(role: Role, config: &Arc<Config>, ours: Option<Direction>) -> Self {
        let now = Moment::default();
        let mut connection = Connection::upgraded(now, config.clone(), role);
        if let Some(ours) = ours {
            connection.compress_by(Terms { ours, theirs: FULL });
        }
        Self { connection, now, reader: Reader::new(ours.unwrap_or(FULL)) }
    }

    fn read(&mut self) -> Vec<Read> {
        self.reader.read(&take_output(&mut self.connection, self.now))
    }
}

/// Members of all kinds: each window, with and without takeover, both roles, and some without compression.
fn members(config: &Arc<Config>) -> Vec<Member> {
    let mut members = Vec::new();
    for role in ROLES {
        members.push(Member::new(role, config, None));
        for bits in 8..=15 {
            for takeover in [true, false] {
                members.push(Member::new(role, config, Some(direction(takeover, bits))));
            }
        }
    }
    members
}

/// A message in fragments, and the whole messages queued after it.
type Begun = (Vec<u8>, Vec<Vec<u8>>);

#[test]
fn messages_after_a_broadcast_refer_to_nothing_before_it() {
    let (own, shared) = (noise(1, 200), noise(2, 200));
    for role in ROLES {
        let config = Arc::new(config(deflate()));
        let mut member = Member::new(role, &config, Some(FULL));
        let mut lens = Vec::new();
        for (data, is_shared) in
            [(&own, false), (&shared, true), (&own, false), (&own, false), (&shared, true), (&shared, true)]
        {
            let frame = Frame::binary(data.clone());
            match is_shared {
                true => member.connection.send_shared(&frame).unwrap(),
                false => member.connection.send(&frame).unwrap(),
            };
            let read = member.read().remove(0);
            assert_eq!((read.compressed, &read.data), (true, data));
            lens.push(read.wire_len);
        }
        let whole: Vec<bool> = lens.iter().map(|len| *len > 200).collect();
        assert_eq!(
            whole,
            [true, true, true, false, true, true],
            "only the fourth may refer to another: {lens:?}"
        );
    }
}

#[test]
fn one_message_is_compressed_once_for_each_window() {
    let data = b"some text that compresses, but not to next to nothing; ".map(|byte| byte ^ 1).to_vec();
    let data = [noise(1, 3000), data.repeat(50)].concat();
    let config = Arc::new(config(deflate()));
    let frame = Frame::binary(data.clone());
    let mut sent: Vec<(Option<u8>, *const u8, Vec<u8>)> = Vec::new();
    let kinds = (9..=15).flat_map(|bits| [true, false].map(|takeover| Some(direction(takeover, bits))));
    let mut members: Vec<Member> = kinds
        .chain([None])
        .flat_map(|kind| [kind; 3])
        .map(|kind| Member::new(Role::Server, &config, kind))
        .collect();
    for member in &mut members {
        // Clones are the same message.
        member.connection.send_shared(&frame.clone()).unwrap();
        let bits = member.connection.compression().map(|terms| terms.ours.window_bits);
        let outbox = member.connection.outbox();
        outbox.advance(4); // the header, which is copied
        sent.push((bits, outbox.chunk().as_ptr(), outbox.chunk().to_vec()));
    }
    for (bits, at, bytes) in &sent {
        for (other_bits, other_at, other_bytes) in &sent {
            assert_eq!(
                at == other_at,
                bits == other_bits,
                "{bits:?} {other_bits:?}: memory is shared per window"
            );
            assert!(bits != other_bits || bytes == other_bytes);
        }
    }
    assert_eq!(
        sent.iter().find(|(bits, ..)| bits.is_none()).unwrap().2,
        data,
        "a member without compression receives it plain"
    );
    let pool = format!("{:?}", config.get_deflate());
    assert!(pool.contains("0 inflaters, 4 deflaters"), "no context is recreated for each: {pool}");
}

#[test]
fn broadcasts_allow_the_same_sequences_as_single_sends() {
    let long = noise(1, 100);
    let raw = |opcode, fin| Frame::raw(opcode, fin, long.clone()).unwrap();
    let text = || Frame::text("a text that is long enough to be compressed, and more than long enough");
    let script = [
        text(),
        Frame::binary(long.clone()),
        Frame::ping(long.clone()).unwrap(),
        Frame::pong(long.clone()).unwrap(),
        raw(Opcode::Continuation, true),
        raw(Opcode::Continuation, false),
        raw(Opcode::Binary, false),
        Frame::ping(long.clone()).unwrap(),
        raw(Opcode::Binary, false),
        raw(Opcode::Continuation, false),
        text(),
        raw(Opcode::Continuation, true),
        raw(Opcode::Continuation, true),
        raw(Opcode::Binary, true),
        text().without_compression(),
        Frame::text("").with_compression(),
    ];
    let config = Arc::new(config(ws_proto::Deflate::new()));
    for (mut one, mut all) in members(&config).into_iter().zip(members(&config)) {
        for frame in &script {
            let sent = one.connection.send(frame);
            assert_eq!(all.connection.send_shared(frame), sent, "{frame:?}");
        }
        let [to_one, to_all] = [&mut one, &mut all].map(|member| {
            let messages = member.read();
            let messages: Vec<_> = messages
                .into_iter()
                .map(|read| (read.opcode, read.compressed, read.fragments, read.data))
                .collect();
            (messages, member.reader.controls)
        });
        assert_eq!(to_one, to_all);
        assert_eq!(to_one.1, 3);
    }
}

#[test]
fn any_mix_of_single_sends_and_broadcasts_delivers_the_same_data() {
    for seed in 0..6 {
        let config = Arc::new(config(deflate().threshold(20)));
        let mut members = members(&config);
        let mut want: Vec<Vec<Vec<u8>>> = members.iter().map(|_| Vec::new()).collect();
        // A message in fragments in progress, and the messages queued after it.
        let mut begun: Vec<Option<Begun>> = members.iter().map(|_| None).collect();
        let mut dice = noise(seed, 1 << 16).into_iter();
        let mut roll = move |sides: u8| dice.next().unwrap() % sides;
        for _ in 0..60 {
            // Few sources, so that messages refer to each other wherever possible.
            let data = noise(u64::from(roll(4)), [5, 30, 200, 250, 1500][usize::from(roll(5))]);
            let frame = Frame::binary(data.clone());
            let frame = match roll(6) {
                0 => frame.without_compression(),
                1 => frame.with_compression(),
                _ => frame,
            };
            let to_all = roll(3) > 0;
            for (n, member) in members.iter_mut().enumerate() {
                let connection = &mut member.connection;
                let mut expect = |message: Vec<u8>| match &mut begun[n] {
                    Some((_, waiting)) => waiting.push(message),
                    None => want[n].push(message),
                };
                if to_all {
                    connection.send_shared(&frame).unwrap();
                    expect(data.clone());
                    continue;
                }
                match roll(7) {
                    0 => drop(connection.send_ping(member.now, b"?").unwrap()),
                    1 => {
                        connection.send(&frame).unwrap();
                        expect(data.clone());
                    }
                    2 => {
                        connection.send(&data[..]).unwrap();
                        expect(data.clone());
                    }
                    3 => {
                        connection.send("a short text").unwrap();
                        expect(b"a short text".to_vec());
                    }
                    4 => {}
                    _ => match begun[n].take() {
                        None => {
                            connection
                                .send(Frame::raw(Opcode::Binary, false, data.clone()).unwrap())
                                .unwrap();
                            begun[n] = Some((data.clone(), Vec::new()));
                        }
                        Some((mut all, waiting)) => {
                            let fin = roll(2) == 0;
                            let next = Frame::raw(Opcode::Continuation, fin, data.clone()).unwrap();
                            connection.send(&next).unwrap();
                            all.extend(&data);
                            if fin {
                                want[n].push(all);
                                want[n].extend(waiting);
                            } else {
                                begun[n] = Some((all, waiting));
                            }
                        }
                    },
                }
            }
        }
        for (n, member) in members.iter_mut().enumerate() {
            let read: Vec<_> = member.read().into_iter().map(|read| read.data).collect();
            assert!(read == want[n], "member {n}, seed {seed}");
        }
    }
}
