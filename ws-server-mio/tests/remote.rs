//! Work from other threads.

mod common;
use common::*;
use std::sync::mpsc;
use ws_server_mio::{EndpointGone, Frame, ServerConfig};

#[test]
fn jobs_from_another_thread_run_in_order_and_wake_the_loop() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let remote = rig.endpoint.remote();
    let thread = std::thread::spawn(move || {
        for k in 0..100 {
            remote
                .run(move |connections| {
                    connections.send(id, Frame::text(k.to_string())).unwrap();
                })
                .unwrap();
        }
        remote.run(|connections| connections.exit()).unwrap();
    });
    // Without a timeout: only the wake-up ends the wait.
    rig.endpoint.run(|_, _| {}).unwrap();
    thread.join().unwrap();
    for k in 0..100 {
        assert_eq!(rig.frame(&mut peer), (TEXT, k.to_string().into_bytes()));
    }
}

#[test]
fn a_job_can_ask_and_send_the_answer_back() {
    let mut rig = Rig::new(ServerConfig::new());
    let server = rig.server;
    let (_peer, _) = rig.open("/");
    let remote = rig.endpoint.remote();
    let (sender, receiver) = mpsc::channel();
    remote.run(move |connections| sender.send(connections.server(server).count()).unwrap()).unwrap();
    rig.until("the answer", |_| receiver.try_recv() == Ok(1));
}

#[test]
fn a_handle_without_its_endpoint_returns_an_error() {
    let rig = Rig::new(ServerConfig::new());
    let remote = rig.endpoint.remote();
    let (sender, receiver) = mpsc::channel::<()>();
    remote.run(move |_| drop(sender)).unwrap();
    drop(rig);
    assert_eq!(receiver.recv(), Err(mpsc::RecvError), "a job that never ran is dropped");
    assert_eq!(remote.run(|_| ()), Err(EndpointGone));
}
