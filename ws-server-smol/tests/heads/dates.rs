//! `Date` and `Last-Modified`.

use super::common::{pair, run};
use super::*;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::fs::{self, File};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use ws_server_smol::WallClock;
use ws_server_smol::{Folder, ServerConfig};

const SECOND: Duration = Duration::from_secs(1);
/// Sun, 06 Nov 1994 08:49:37 GMT.
const DAY: u64 = 784_111_777;

/// Both clocks, which only the test moves.
#[derive(Clone)]
struct Clocks(Arc<Mutex<(Instant, SystemTime)>>);

impl Clocks {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), UNIX_EPOCH + Duration::from_secs(DAY)))))
    }

    fn server(&self, config: ServerConfig) -> Server {
        let clocks = self.0.clone();
        let server = ws_server_smol::server_with_clocks(config, move || *clocks.lock().unwrap());
        server.listen(Bind::localhost()).unwrap();
        server
    }

    fn wall(&self) -> SystemTime {
        self.0.lock().unwrap().1
    }

    fn pass(&self, time: Duration) {
        let mut clocks = self.0.lock().unwrap();
        *clocks = (clocks.0 + time, clocks.1 + time);
    }

    fn set(&self, wall: SystemTime) {
        self.0.lock().unwrap().1 = wall;
    }
}

fn date(head: &str) -> SystemTime {
    httpdate::parse_http_date(field(head, "Date").unwrap()).unwrap()
}

#[test]
fn dates_follow_clock_changes_and_sleep() {
    let clocks = Clocks::new();
    let server = clocks.server(ServerConfig::new());
    run(beside(&server, hello, async {
        let date_now = async || date(&sent(&server, |address| get(address, "/")).head().await);
        assert_eq!(date_now().await, clocks.wall());
        let now = clocks.wall();
        let mut kept = sent(&server, |address| get(address, "/"));
        assert_eq!(got(|| kept.take_response()).await.0, 200);
        for wall in [now + 2 * HOUR, now - 2 * HOUR, now + 8 * 24 * HOUR, now - SECOND, now] {
            clocks.set(wall);
            clocks.pass(SECOND);
            assert_eq!(date_now().await, wall + SECOND);
            // Over an older connection.
            kept.send(&get(server.local_addr().unwrap(), "/"));
            let head = kept.head().await;
            assert_eq!(date(&head), wall + SECOND);
            got(|| {
                kept.read();
                (kept.got == b"hello").then(|| kept.got.clear())
            })
            .await;
        }
        // After idle hours, the first answer is right already.
        clocks.pass(5 * HOUR);
        assert_eq!(date_now().await, clocks.wall());
        // An automatic answer of the engine.
        clocks.pass(HOUR);
        let mut peer = sent(&server, |_| b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec());
        assert_eq!(date(&peer.head().await), clocks.wall());
    }));
}

#[test]
fn a_late_answer_has_a_current_date() {
    let clocks = Clocks::new();
    let server = clocks.server(ServerConfig::new());
    run(async {
        let mut peers: Vec<_> = (0..3).map(|_| sent(&server, |address| get(address, "/"))).collect();
        for (case, peer) in peers.iter_mut().enumerate() {
            let mut http = server.accept().await.unwrap();
            let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
            // The connection is not polled meanwhile.
            clocks.set(clocks.wall() - 2 * HOUR);
            clocks.pass(30 * SECOND);
            let answered = clocks.wall();
            match case {
                0 => http.respond(request, ok("late")).await.unwrap(),
                1 => http.responder().respond(request, ok("late")).unwrap(),
                _ => {
                    let body = http.responder().respond_streaming(request, sse::head(), None).unwrap();
                    body.finish().unwrap();
                }
            }
            clocks.pass(HOUR);
            let driving = async {
                http.next().await;
                panic!("it ended")
            };
            assert_eq!(date(&driving.or(peer.head()).await), answered, "{case}");
        }
    });
}

#[test]
fn restarted_servers_and_servers_with_their_own_clock_send_dates() {
    let clocks = Clocks::new();
    let given = WallClock::new(UNIX_EPOCH);
    for config in [ServerConfig::new(), ServerConfig::new().wall_clock(given.clone())] {
        let server = clocks.server(config);
        run(async {
            for set_back in [2 * HOUR, Duration::ZERO] {
                clocks.set(clocks.wall() - set_back);
                clocks.pass(SECOND);
                let asking = async { date(&sent(&server, |address| get(address, "/")).head().await) };
                assert_eq!(beside(&server, hello, asking).await, clocks.wall());
                server.stop(Duration::ZERO).await;
                server.listen(Bind::localhost()).unwrap();
            }
        });
    }
    assert_eq!(given.get(), Some(clocks.wall()), "it is kept set");
}

#[test]
fn a_stream_without_a_server_sends_dates_if_configured_with_a_clock() {
    run(async {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        for clock in [Some(WallClock::new(UNIX_EPOCH)), None] {
            let (mut client, server) = pair().await;
            let mut config = Config::server();
            if let Some(clock) = &clock {
                config = config.wall_clock(clock.clone());
            }
            let mut http = HttpConnection::new(server, Arc::new(config));
            let before = seconds(SystemTime::now());
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            let Some(Incoming::Request(request)) = http.next().await else { panic!("no request") };
            http.respond(request, ok("hello")).await.unwrap();
            let driving = async {
                while http.next().await.is_some() {}
                future::pending().await
            };
            let mut answer = String::new();
            let reading = async { client.read_to_string(&mut answer).await };
            driving.or(reading).await.unwrap();
            let after = seconds(SystemTime::now());
            match clock {
                // The system's clock, and not the clock's initial value.
                Some(_) => {
                    let date = seconds(date(&answer));
                    assert!(before <= date + 1 && date <= after, "{before} {after} {answer}");
                }
                None => assert_eq!(field(&answer, "Date"), None, "{answer}"),
            }
        }
    });
}

#[test]
fn a_future_modification_time_is_capped_at_the_date_and_the_etag_kept() {
    let root = std::env::temp_dir().join(format!("ws-server-smol-{}-heads", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("hello.txt"), "hello").unwrap();
    let modify = |seconds| {
        let file = File::options().write(true).open(root.join("hello.txt")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    let folder = Folder::new(&root).unwrap();
    let clocks = Clocks::new();
    let server = clocks.server(ServerConfig::new());
    let serve = async |mut http: HttpConnection<Socket>| {
        while let Some(Incoming::Request(request)) = http.next().await {
            http.respond_file(request, &folder).await.unwrap();
        }
    };
    run(beside(&server, serve, async {
        let ask = async |fields: &str| {
            let get = |address| with_fields(get(address, "/hello.txt"), fields);
            sent(&server, get).head().await
        };
        let last_modified = |head: &str| field(head, "Last-Modified").unwrap().to_owned();
        modify(DAY - 1);
        let head = ask("").await;
        assert_eq!(last_modified(&head), "Sun, 06 Nov 1994 08:49:36 GMT");
        let mut etags = vec![field(&head, "ETag").unwrap().to_owned()];
        for future in [1, 2_000, 1_000_000_000] {
            modify(DAY + future);
            for fields in ["", "Range: bytes=1-2\r\n"] {
                assert_eq!(last_modified(&ask(fields).await), "Sun, 06 Nov 1994 08:49:37 GMT");
            }
            let etag = field(&ask("").await, "ETag").unwrap().to_owned();
            let head = ask(&format!("If-None-Match: {etag}\r\n")).await;
            assert!(head.starts_with("HTTP/1.1 304 "), "{head}");
            assert_eq!(last_modified(&head), "Sun, 06 Nov 1994 08:49:37 GMT");
            assert!(!etags.contains(&etag), "the real time is in it");
            etags.push(etag);
            let head = ask("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200 "), "it is later than what was sent: {head}");
        }
    }));
    fs::remove_dir_all(&root).unwrap();
}
