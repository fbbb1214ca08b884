//! Sending: order, marks, copying, and the outbox itself.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use bytes::{Buf, Bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::IoSlice;
use std::sync::Arc;
use ws_kit::frames::*;
use ws_proto::{
    ClientRequest, CloseCode, Config, Connection, Event, Frame, Message, Opcode, Role, SendError, Sent,
};

fn payloads(output: &[u8]) -> Vec<String> {
    parse(output).into_iter().map(|frame| String::from_utf8(frame.payload).unwrap()).collect()
}

#[test]
fn whole_messages_wait_behind_an_unfinished_one_and_control_frames_do_not() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.send(Frame::raw(Opcode::Text, false, "a").unwrap()).unwrap();
    server.send("after 1").unwrap();
    server.send(Frame::text("after 2")).unwrap();
    server.send_ping(now, b"ping").unwrap();
    server.send(Frame::raw(Opcode::Continuation, false, "b").unwrap()).unwrap();
    assert!(server.queued() > server.outbox().len(), "waiting messages are counted");
    server.send(Frame::raw(Opcode::Continuation, true, "c").unwrap()).unwrap();
    assert_eq!(payloads(&take_output(&mut server, now)), ["ping", "a", "b", "c", "after 1", "after 2"]);
}

#[test]
fn fragments_out_of_order_are_rejected_and_change_nothing() {
    let (mut server, now) = open(Role::Server, Config::server());
    let first = Frame::raw(Opcode::Binary, false, "a").unwrap();
    let last = Frame::raw(Opcode::Continuation, true, "b").unwrap();
    assert_eq!(server.send(&last), Err(SendError::FragmentOrder));
    server.send(&first).unwrap();
    assert_eq!(server.send(&first), Err(SendError::FragmentOrder));
    server.send(&last).unwrap();
    assert_eq!(server.send(&last), Err(SendError::FragmentOrder));
    assert_eq!(payloads(&take_output(&mut server, now)), ["a", "b"]);
}

#[test]
fn a_text_must_be_utf8_across_all_fragments() {
    let (mut server, now) = open(Role::Server, Config::server());
    let water = "水".as_bytes();
    server.send(Frame::raw(Opcode::Text, false, water[..1].to_vec()).unwrap()).unwrap();
    let bad = Frame::raw(Opcode::Continuation, false, "a").unwrap();
    assert_eq!(server.send(&bad), Err(SendError::NotUtf8));
    let half = Frame::raw(Opcode::Continuation, true, water[1..2].to_vec()).unwrap();
    assert_eq!(server.send(&half), Err(SendError::NotUtf8), "it ends inside a character");
    server.send(Frame::raw(Opcode::Continuation, true, water[1..].to_vec()).unwrap()).unwrap();
    assert_eq!(parse(&take_output(&mut server, now)).len(), 2);
}

#[test]
fn raw_frames_that_violate_the_protocol_are_rejected() {
    assert_eq!(Frame::raw(Opcode::Close, true, ""), Err(SendError::CloseFrame));
    assert_eq!(Frame::raw(Opcode::Ping, false, ""), Err(SendError::FragmentOrder));
    assert_eq!(Frame::pong(vec![0; 126]), Err(SendError::ControlTooLong(126)));
    assert_eq!(Frame::raw(Opcode::Text, true, vec![0xff]), Err(SendError::NotUtf8));
    assert!(Frame::ping(vec![0; 125]).is_ok());
}

#[test]
fn nothing_is_sent_before_the_connection_is_open_nor_after_a_close() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    assert_eq!(server.send("late"), Err(SendError::NotOpen));
    assert_eq!(server.send_ping(now, b""), Err(SendError::NotOpen));
    assert_eq!(server.close(now, CloseCode::NORMAL, ""), Err(SendError::NotOpen));
    assert_eq!(parse(&take_output(&mut server, now)).len(), 1);
}

#[test]
fn a_client_sends_nothing_but_its_request_until_the_answer_is_verified() {
    let now = ws_proto::Moment::default();
    let request = ClientRequest::new("ws://localhost/").unwrap();
    let mut client = Connection::client(now, Arc::new(Config::client()), request, [1; 32]);
    assert_eq!(client.send("early"), Err(SendError::NotOpen));
    assert!(take_output(&mut client, now).ends_with(b"\r\n\r\n"));
    // The accept value for another key.
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let events = feed(&mut client, now, answer);
    assert!(matches!(&events[..], [Event::Closed(closed)] if !closed.was_open), "{events:?}");
    assert_eq!((client.send("late"), client.queued()), (Err(SendError::NotOpen), 0));
}

#[test]
fn sends_over_the_high_mark_are_congested_and_drained_is_emitted_once() {
    let (mut server, now) = open(Role::Server, Config::server().outbox(100, 1000, 10_000));
    assert_eq!(server.send(vec![0; 900]), Ok(Sent::Queued));
    assert_eq!(server.send(vec![0; 900]), Ok(Sent::Congested));
    assert_eq!(feed(&mut server, now, &frame(true, FIN | TEXT, b"read all the same")).len(), 1);
    let waits = server.outbox().len();
    server.handle_written(now, waits - 101);
    assert!(poll(&mut server, now).is_empty());
    server.handle_written(now, 1);
    assert!(matches!(poll(&mut server, now)[..], [Event::Drained]));
    assert!(poll(&mut server, now).is_empty());
    take_output(&mut server, now);
    assert!(poll(&mut server, now).is_empty(), "once each time it exceeds the mark");
}

#[test]
fn a_send_over_the_cap_is_rejected_and_nothing_is_queued() {
    let (mut server, now) = open(Role::Server, Config::server().outbox(100, 1000, 2000));
    assert!(server.send(vec![0; 5000]).is_ok(), "a single message always fits");
    let waits = server.outbox().len();
    assert_eq!(server.send("x"), Err(SendError::Full));
    assert_eq!(server.send(Frame::text("x")), Err(SendError::Full));
    assert_eq!(server.outbox().len(), waits);
    server.send_ping(now, b"exempt").unwrap();
    take_output(&mut server, now);
    assert!(server.send("x").is_ok());
}

#[test]
fn a_message_that_just_fits_the_cap_is_sent() {
    // With the longest possible frame header.
    for (len, is_sent) in [(486, true), (487, false)] {
        let (mut server, _) = open(Role::Server, Config::server().outbox(100, 1000, 2000));
        server.send(vec![0; 1496]).unwrap();
        assert_eq!(server.queued(), 1500);
        assert_eq!(server.send(vec![0; len]).is_ok(), is_sent, "{len} bytes");
    }
}

#[test]
fn a_ping_has_at_most_125_bytes() {
    let (mut server, now) = open(Role::Server, Config::server());
    for len in [126, 127, 200] {
        assert_eq!(server.send_ping(now, &vec![0; len]), Err(SendError::ControlTooLong(len)));
    }
    assert_eq!(server.queued(), 0);
    server.send_ping(now, &[0; 125]).unwrap();
    assert_eq!(parse(&take_output(&mut server, now))[0].payload, [0; 125]);
}

#[test]
fn owned_and_shared_payloads_are_not_copied() {
    let (mut server, now) = open(Role::Server, Config::server());
    let data = vec![1u8; 100_000];
    let at = data.as_ptr();
    server.send(Message::Binary(data.into())).unwrap();
    let frame = Frame::binary(vec![2; 50_000]);
    server.send(&frame).unwrap();
    let mut slices = [IoSlice::new(&[]); 8];
    let outbox = server.outbox();
    let n = outbox.chunks_vectored(&mut slices);
    assert!(slices[..n].iter().any(|slice| slice.as_ptr() == at));
    assert!(slices[..n].iter().any(|slice| slice.as_ptr() == frame.payload().as_ptr()));
    take_output(&mut server, now);
}

#[test]
fn the_outbox_attaches_a_buffer_and_returns_it_when_empty() {
    let (mut server, now) = open(Role::Server, Config::server());
    assert!(!server.outbox().has_buffer(), "an idle connection holds no buffer");
    server.outbox().attach_buffer(ws_proto::OutboxBuffer::default());
    assert!(server.outbox().has_buffer(), "an attached buffer counts");
    server.send("x".repeat(500).as_str()).unwrap();
    assert!(server.outbox().detach_buffer().is_none(), "it holds output");
    take_output(&mut server, now);
    let storage = server.outbox().detach_buffer().unwrap();
    assert!(storage.capacity() >= 500 && !server.outbox().has_buffer());
    server.send("x").unwrap();
    assert!(server.outbox().has_buffer(), "so does its own");
}

#[test]
fn memory_of_a_burst_is_released() {
    let (mut server, now) = open(Role::Server, Config::server());
    for _ in 0..1000 {
        server.send(&[1; 1000][..]).unwrap();
    }
    take_output(&mut server, now);
    let storage = server.outbox().detach_buffer().unwrap();
    assert!(storage.capacity() < 1_000_000 && !storage.has_spare(), "{storage:?}");
    server.outbox().attach_buffer(storage);
    for _ in 0..100 {
        server.send(vec![1; 2000]).unwrap();
    }
    take_output(&mut server, now);
    assert!(
        server.outbox().detach_buffer().is_some_and(|storage| storage.capacity() < 100_000),
        "nor after many shared payloads"
    );
}

#[test]
fn a_large_message_that_was_sent_leaves_its_memory_for_the_next() {
    for (len, is_kept) in [(10_000, false), (100_000, true), (5_000_000, false)] {
        let (mut server, now) = open(Role::Server, Config::server());
        server.send(vec![0; len]).unwrap();
        take_output(&mut server, now);
        let storage = server.outbox().detach_buffer().unwrap();
        assert_eq!(storage.has_spare(), is_kept, "{len}: {storage:?}");
        assert_eq!(storage.capacity() >= len, is_kept);
    }
}

#[test]
fn the_memory_of_a_large_message_serves_the_next_one() {
    let (mut server, now) = open(Role::Server, Config::server());
    let mut memory = None;
    for kind in [BINARY, TEXT, TEXT, BINARY] {
        let bytes = frame(true, FIN | kind, &vec![3; 200_000]);
        let (a, b) = bytes.split_at(100_000);
        feed(&mut server, now, a);
        let Some(Event::Message(message)) = feed(&mut server, now, b).pop() else { panic!("no message") };
        let at = message.as_bytes().as_ptr();
        assert_eq!(*memory.get_or_insert(at), at);
        server.send(message).unwrap();
        take_output(&mut server, now);
    }
}

/// A step in the use of an outbox.
#[derive(Clone, Debug)]
enum Step {
    Copied(Vec<u8>),
    Shared(Vec<u8>),
    /// This many bytes are written, gathered or from the first chunk.
    Written(usize, bool),
}

proptest! {
    #[test]
    fn the_outbox_concatenates_queued_output(
        steps in vec(prop_oneof![
            3 => vec(any::<u8>(), 0..2000).prop_map(Step::Copied),
            1 => vec(any::<u8>(), 1025..3000).prop_map(Step::Shared),
            4 => (0usize..6000, any::<bool>()).prop_map(|(n, gathered)| Step::Written(n, gathered)),
        ], 0..40)
    ) {
        let (mut server, now) = open(Role::Server, Config::server());
        let mut expected: Vec<Vec<u8>> = Vec::new();
        let mut written = Vec::new();
        for step in steps {
            match step {
                Step::Copied(data) => {
                    server.send(&data[..]).unwrap();
                    expected.push(data);
                }
                Step::Shared(data) => {
                    server.send(Frame::binary(Bytes::from(data.clone()))).unwrap();
                    expected.push(data);
                }
                Step::Written(n, gathered) => {
                    let outbox = server.outbox();
                    let mut seen = Vec::new();
                    if gathered {
                        let mut slices = [IoSlice::new(&[]); 5];
                        let count = outbox.chunks_vectored(&mut slices);
                        slices[..count].iter().for_each(|slice| seen.extend_from_slice(slice));
                    } else {
                        seen.extend_from_slice(outbox.chunk());
                    }
                    seen.truncate(n);
                    server.handle_written(now, seen.len());
                    written.extend(seen);
                }
            }
        }
        written.extend(take_output(&mut server, now));
        let sent: Vec<Vec<u8>> = parse(&written).into_iter().map(|frame| frame.payload).collect();
        prop_assert_eq!(sent, expected);
        prop_assert_eq!(server.queued(), 0);
    }
}

/// A message in fragments without its last one; the socket has taken all output.
fn with_an_unfinished_message() -> (Connection, ws_proto::Moment) {
    let (mut server, now) = open(Role::Server, Config::server().outbox(100, 1000, 10_000));
    server.send(Frame::raw(Opcode::Binary, false, "a").unwrap()).unwrap();
    take_output(&mut server, now);
    (server, now)
}

#[test]
fn the_cap_applies_to_waiting_messages_while_control_frames_are_sent() {
    let (mut server, now) = with_an_unfinished_message();
    let mut taken = 0;
    for _ in 0..50 {
        taken += usize::from(server.send(vec![0; 3000]).is_ok());
        server.send_ping(now, b"").unwrap();
        take_output(&mut server, now);
    }
    assert_eq!(taken, 3, "{} bytes are queued", server.queued());
}

#[test]
fn the_last_fragment_fits_whatever_waits_behind_it() {
    let (mut server, now) = with_an_unfinished_message();
    let mut taken = 0;
    for len in [500, 1] {
        while server.send(vec![0; len]).is_ok() {
            taken += 1;
        }
    }
    server.send(Frame::raw(Opcode::Continuation, true, "z").unwrap()).unwrap();
    assert_eq!(parse(&take_output(&mut server, now)).len(), 1 + taken);
}

#[test]
fn messages_behind_an_unfinished_one_do_not_pause_reading() {
    let (mut server, now) = with_an_unfinished_message();
    server.send(vec![0; 2000]).unwrap();
    // The outbox is empty, so no write could end the pause.
    assert!(!server.is_paused());
    assert_eq!(feed(&mut server, now, &frame(true, FIN | TEXT, b"go on")).len(), 1);
}

#[test]
fn a_rejected_sender_receives_drained_whatever_the_marks() {
    let (mut server, now) = open(Role::Server, Config::server().outbox(50, 100, 100));
    server.send("x".repeat(60)).unwrap();
    assert!(!server.is_congested());
    assert_eq!(server.send("y".repeat(60)), Err(SendError::Full));
    assert!(server.is_congested());
    take_output(&mut server, now);
    assert!(matches!(poll(&mut server, now)[..], [Event::Drained]));
    server.send("y".repeat(60)).unwrap();
    take_output(&mut server, now);
    assert!(poll(&mut server, now).is_empty());
}

#[test]
fn a_rejected_send_behind_our_fragments_does_not_pause_reading() {
    let (mut server, now) = open(Role::Server, Config::server().outbox(50, 100, 100));
    server.send(Frame::raw(Opcode::Text, false, "a").unwrap()).unwrap();
    server.send("x".repeat(60)).unwrap();
    take_output(&mut server, now);
    assert_eq!(server.send("y".repeat(60)), Err(SendError::Full));
    assert!(!server.is_paused());
}

#[test]
fn waiting_messages_are_limited_even_if_tiny() {
    let (mut server, now) = open(Role::Server, Config::server().outbox(10, 100, 1000));
    server.send(Frame::raw(Opcode::Binary, false, "begun").unwrap()).unwrap();
    let mut taken = 0;
    while server.send("").is_ok() {
        taken += 1;
        assert!(taken < 1000, "nothing limits them");
    }
    assert_eq!(server.send(""), Err(SendError::Full));
    take_output(&mut server, now);
    server.send(Frame::raw(Opcode::Continuation, true, "").unwrap()).unwrap();
    assert!(server.queued() <= 1000, "{} bytes", server.queued());
    assert_eq!(parse(&take_output(&mut server, now)).len(), 1 + taken);
}
