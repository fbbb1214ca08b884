//! Schedules of two ends; see `pair.rs` for the bytes.

const SERVER: u8 = 1;
const TEXT: u8 = 0x20;
const SEND: u8 = 0;
const SEND_LARGE: u8 = 1 << 1;
const FRAGMENT: u8 = 2 << 1;
const LAST_FRAGMENT: u8 = 3 << 1;
const PING: u8 = 4 << 1;
const PONG: u8 = 5 << 1;
const WRITE: u8 = 6 << 1;
const WRITE_ALL: u8 = 7 << 1;
const STALL: u8 = 8 << 1;
const READ: u8 = 9 << 1;
const READ_ALL: u8 = 10 << 1;
const POLL: u8 = 11 << 1;
const WAIT: u8 = 12 << 1;
const STEP: u8 = 13 << 1;
/// Followed by how: from 0xc0 on it closes with its own code.
const CLOSE: u8 = 14 << 1;
/// Followed by 0xff.
const ABORT: u8 = 15 << 1;
/// Followed by the application's habit or action: see below.
const BEHAVE: u8 = 15 << 1;
/// It sends until sends are rejected, then loses or resends those messages; it answers each message.
const IGNORES: u8 = 1;
const RETRIES: u8 = 2;
const ECHOES: u8 = 4;
const PAUSE: u8 = 0x40;
const RESUME: u8 = 0x60;
/// 20 messages of n hundred bytes, and 100 of n bytes.
const BULK: u8 = 0x80;
const MANY: u8 = 0xc0;

/// Through HTTP, with the defaults.
const HTTP: [u8; 2] = [0, 0];
/// Already open.
const OPEN: [u8; 2] = [1, 0];

/// Name, and acts.
pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let on = |how: [u8; 2], acts: &[u8]| [&how[..], acts].concat();
    vec![
        ("nothing", on(HTTP, &[])),
        ("a_message_each_way", on(HTTP, &[STEP, STEP, STEP, TEXT | SEND, 5, SERVER | SEND, 200, STEP])),
        (
            "a_handshake_in_small_reads",
            on(
                HTTP,
                &[
                    WRITE,
                    50,
                    SERVER | READ,
                    30,
                    SERVER | READ,
                    20,
                    WRITE_ALL,
                    SERVER | READ_ALL,
                    SERVER | WRITE,
                    9,
                    READ,
                    9,
                    SERVER | WRITE_ALL,
                    READ_ALL,
                ],
            ),
        ),
        (
            "half_written",
            on(
                OPEN,
                &[
                    SEND_LARGE,
                    255,
                    WRITE,
                    100,
                    SERVER | READ,
                    50,
                    STALL,
                    WAIT,
                    50,
                    WRITE_ALL,
                    SERVER | READ_ALL,
                ],
            ),
        ),
        (
            "fragments_with_messages_behind",
            on(
                OPEN,
                &[TEXT | FRAGMENT, 5, SEND, 3, PING, FRAGMENT, 7, TEXT | SEND, 4, LAST_FRAGMENT, 0, STEP],
            ),
        ),
        ("fragments_never_ended", on(OPEN, &[FRAGMENT, 5, SEND, 3, SERVER | SEND, 9, STEP])),
        (
            "pings_both_ways",
            on(
                OPEN,
                &[
                    PING,
                    SERVER | PING,
                    PONG,
                    STEP,
                    SERVER | PING,
                    WRITE_ALL,
                    SERVER | WRITE_ALL,
                    READ_ALL,
                    POLL,
                ],
            ),
        ),
        (
            "both_close_at_once",
            on(OPEN, &[SEND, 5, SERVER | SEND, 5, CLOSE, 0xc1, SERVER | CLOSE, 0xc2, STEP]),
        ),
        (
            "a_close_that_crosses_messages",
            on(OPEN, &[CLOSE, 0xd0, SERVER | SEND, 5, SERVER | WRITE_ALL, SERVER | SEND_LARGE, 3, READ_ALL]),
        ),
        ("closed_before_it_is_open", on(HTTP, &[WRITE_ALL, SERVER | READ_ALL, SERVER | CLOSE, 0xc0])),
        ("given_up", on(OPEN, &[SEND_LARGE, 200, WRITE, 255, SERVER | ABORT, 0xff, SEND, 1])),
        ("nobody_reads", on(OPEN, &[SEND_LARGE, 200, STALL, WAIT, 255, WAIT, 255, WAIT, 255, WAIT, 255])),
        (
            "small_marks_on_both_sides",
            on(
                [1, 0x88],
                &[
                    SEND_LARGE,
                    60,
                    SERVER | SEND_LARGE,
                    60,
                    SEND,
                    200,
                    SERVER | SEND,
                    200,
                    STEP,
                    SEND,
                    200,
                    SEND,
                    200,
                    SERVER | SEND,
                    100,
                    STEP,
                ],
            ),
        ),
        ("both_have_much_to_say", on([1, 0x88], &[SEND_LARGE, 255, SERVER | SEND_LARGE, 255, STEP])),
        (
            "no_room_at_all",
            on(
                [1, 0x44],
                &[
                    SEND,
                    9,
                    SERVER | SEND,
                    9,
                    SEND,
                    9,
                    FRAGMENT,
                    9,
                    SERVER | FRAGMENT,
                    9,
                    STEP,
                    LAST_FRAGMENT,
                    0,
                    STEP,
                ],
            ),
        ),
        (
            "paced",
            on(
                [1 | 0x14, 0],
                &[SEND, 1, SEND, 2, SEND, 3, SERVER | SEND, 1, SERVER | SEND, 2, STEP, WAIT, 30, STEP],
            ),
        ),
        (
            "in_pieces",
            on(
                [1 | 0x60, 0],
                &[
                    TEXT | SEND,
                    50,
                    TEXT | FRAGMENT,
                    20,
                    TEXT | LAST_FRAGMENT,
                    20,
                    SERVER | SEND_LARGE,
                    20,
                    WRITE,
                    30,
                    SERVER | READ,
                    25,
                    STEP,
                ],
            ),
        ),
        ("heartbeats", on([1, 0x22], &[WAIT, 100, STEP, WAIT, 100, STEP, WAIT, 20, STEP])),
        ("heartbeats_that_nobody_answers", on([1, 0x22], &[WAIT, 100, WAIT, 100])),
        ("one_way_heartbeats", on([1, 0x33], &[WAIT, 200, STEP, WAIT, 200, STEP])),
        ("time_passes_in_the_handshake", on(HTTP, &[WRITE, 20, SERVER | READ_ALL, WAIT, 255, WAIT, 255])),
        (
            "bulk_both_ways_by_who_looks_at_nothing",
            on(
                [1, 0x88],
                &[
                    BEHAVE,
                    IGNORES,
                    SERVER | BEHAVE,
                    IGNORES | RETRIES,
                    BEHAVE,
                    BULK | 3,
                    SERVER | BEHAVE,
                    BULK | 2,
                    STEP,
                    SERVER | BEHAVE,
                    MANY | 15,
                    STEP,
                ],
            ),
        ),
        (
            "an_echo_to_who_does_not_read",
            on(
                [1, 0x8c],
                &[
                    SERVER | BEHAVE,
                    IGNORES | RETRIES | ECHOES,
                    BEHAVE,
                    BULK | 1,
                    WRITE_ALL,
                    SERVER | READ_ALL,
                    WAIT,
                    9,
                    SERVER | READ_ALL,
                    WAIT,
                    9,
                    SERVER | READ_ALL,
                ],
            ),
        ),
        (
            "short_requests_and_long_answers_compressed",
            on(
                [1 | 0x80, 0xcc],
                &[
                    BEHAVE,
                    MANY | 2,
                    SERVER | BEHAVE,
                    RETRIES | ECHOES,
                    STEP,
                    STEP,
                    SERVER | BEHAVE,
                    BULK | 9,
                    STEP,
                ],
            ),
        ),
        (
            "paused_and_resumed",
            on(
                [1, 0x22],
                &[
                    BEHAVE,
                    PAUSE,
                    SERVER | SEND,
                    50,
                    SERVER | WRITE_ALL,
                    READ_ALL,
                    WAIT,
                    90,
                    SERVER | SEND,
                    9,
                    BEHAVE,
                    RESUME,
                    READ_ALL,
                ],
            ),
        ),
        (
            "paused_and_closed",
            on(
                [1, 0x22],
                &[BEHAVE, PAUSE, SERVER | SEND, 50, STEP, CLOSE, 0xc1, STEP, SERVER | SEND, 1, STEP],
            ),
        ),
        ("paused_to_the_end", on([1, 0], &[SERVER | BEHAVE, PAUSE, SEND, 50, SEND_LARGE, 200, STEP])),
    ]
}
