//! Work from other threads.

mod common;
use common::*;
use std::sync::mpsc;
use std::time::Duration;
use ws_server_mio::{Bind, ClientConfig, ClientState, EndpointGone, Frame, ServerConfig};

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
fn a_job_finds_all_servers_and_clients() {
    let mut rig = Rig::new(ServerConfig::new());
    let second = rig.endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
    let url = rig.endpoint.connections().server(second).url("/").unwrap();
    let open = rig.endpoint.connections().connect(&*url, ClientConfig::new()).unwrap();
    let idle = rig.endpoint.connections().connect(&*url, ClientConfig::new()).unwrap();
    rig.endpoint.connections().client(idle).disconnect();
    rig.until("a connection", |rig| rig.endpoint.connections().client(open).state() == ClientState::Open);
    let (sender, receiver) = mpsc::channel();
    let remote = rig.endpoint.remote();
    remote
        .run(move |connections| {
            let all = connections.all();
            let (servers, clients): (Vec<_>, Vec<_>) = (all.servers().collect(), all.clients().collect());
            clients.iter().for_each(|client| connections.client(*client).disconnect());
            servers.iter().for_each(|server| connections.server(*server).stop(Duration::from_secs(20)));
            sender.send((servers, clients)).unwrap();
        })
        .unwrap();
    // It returns once all have ended.
    rig.endpoint.run(|_, _| {}).unwrap();
    assert_eq!(receiver.recv(), Ok((vec![rig.server, second], vec![open, idle])));
    let all = rig.endpoint.connections().all();
    assert_eq!((all.servers().count(), all.clients().count()), (0, 2), "an idle client stays");
    assert!(rig.endpoint.clients().eq([open, idle]));
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
