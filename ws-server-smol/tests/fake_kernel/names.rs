//! Names that clients connect to: a name that is never answered delays no other.

use async_executor::{LocalExecutor, Task};
use async_io::{Async, Timer, block_on};
use futures_lite::{FutureExt, future};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use ws_kit::names::Names;
use ws_server_smol::sys::Resolver;
use ws_server_smol::{
    ClientConfig, ClientRequest, Config, ConnectError, HttpConnection, Incoming, Socket, WebSocket,
    connect_with_names,
};

type Outcome = Result<WebSocket, ConnectError>;

struct Rig {
    executor: LocalExecutor<'static>,
    names: Names,
    resolver: Arc<Resolver>,
    port: u16,
}

impl Rig {
    /// Runs a test beside a server that accepts every client.
    fn run(test: impl AsyncFn(&Self)) {
        let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let names = Names::default();
        let lookup = names.clone();
        let rig = Self {
            executor: LocalExecutor::new(),
            resolver: Resolver::new(move |name| lookup.look_up(name)),
            port: listener.get_ref().local_addr().unwrap().port(),
            names: names.clone(),
        };
        rig.executor.spawn(serve(listener)).detach();
        let hang = async {
            Timer::after(Duration::from_secs(60)).await;
            panic!("it hangs")
        };
        block_on(rig.executor.run(test(&rig)).or(hang));
        // The threads of the pool end.
        (0..8).for_each(|k| names.release(&format!("stuck{k}.test"), false));
    }

    fn connect_with(&self, host: &str, config: ClientConfig) -> Task<Outcome> {
        let request = ClientRequest::new(format!("ws://{host}:{}/", self.port).as_str()).unwrap();
        self.executor.spawn(connect_with_names(request, config, self.resolver.clone()))
    }

    /// An attempt whose name is being looked up when this returns.
    async fn connect(&self, host: &str) -> Task<Outcome> {
        let task = self.connect_with(host, ClientConfig::new().handshake_timeout(Duration::MAX));
        // A local executor runs its tasks in the order of their wake-ups.
        future::yield_now().await;
        task
    }

    /// That many stuck names, all being looked up.
    async fn stuck(&self, count: usize) -> Vec<Task<Outcome>> {
        let mut tasks = Vec::new();
        for k in 0..count {
            tasks.push(self.connect(&format!("stuck{k}.test")).await);
        }
        self.until(|| self.resolver.running() == count).await;
        self.names.begun(count);
        tasks
    }

    /// Lets the tasks run until the condition holds.
    async fn until(&self, done: impl Fn() -> bool) {
        while !done() {
            future::yield_now().await;
        }
    }
}

async fn serve(listener: Async<TcpListener>) {
    let config = Arc::new(Config::server().access(ws_proto::Access::default().allow_any_host()));
    let mut open = Vec::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut http = HttpConnection::new(Socket::from(stream), config.clone());
        if let Some(Incoming::Upgrade(upgrade)) = http.next().await {
            open.push(http.accept(upgrade).await);
        }
    }
}

fn failure(outcome: Outcome) -> ConnectError {
    outcome.err().unwrap()
}

#[test]
fn four_stuck_names_do_not_delay_a_fifth() {
    Rig::run(async |rig| {
        let others = rig.stuck(4).await;
        rig.connect("good.test").await.await.ok().unwrap();
        (0..4).for_each(|k| rig.names.release(&format!("stuck{k}.test"), false));
        for other in others {
            assert!(matches!(failure(other.await), ConnectError::Name { .. }));
        }
    });
}

#[test]
fn a_ninth_name_waits_for_one_of_eight_answers() {
    Rig::run(async |rig| {
        let mut others = rig.stuck(8).await;
        let ninth = rig.connect("good.test").await;
        rig.until(|| rig.resolver.waiting() == 1).await;
        assert_eq!(rig.names.begun(8).len(), 8);
        rig.names.release("stuck5.test", true);
        ninth.await.ok().unwrap();
        others.swap_remove(5).await.ok().unwrap();
        assert_eq!(rig.names.begun(9)[8], "good.test");
        assert_eq!(rig.names.most(), 8);
    });
}

#[test]
fn clients_of_the_same_name_share_one_lookup() {
    Rig::run(async |rig| {
        let mut clients = rig.stuck(1).await;
        for _ in 0..20 {
            clients.push(rig.connect("STUCK0.test").await);
        }
        rig.names.release("stuck0.test", true);
        for client in clients {
            client.await.ok().unwrap();
        }
        assert_eq!(rig.names.begun(1), ["stuck0.test"]);
        // No answer is cached: the next connection looks the name up again.
        rig.connect("stuck0.test").await.await.ok().unwrap();
        assert_eq!(rig.names.begun(2).len(), 2);
    });
}

#[test]
fn an_abandoned_name_is_never_looked_up() {
    Rig::run(async |rig| {
        let _others = rig.stuck(8).await;
        let dropped = rig.connect("one.test").await;
        let kept = rig.connect("two.test").await;
        let shared = rig.connect("two.test").await;
        rig.until(|| rig.resolver.waiting() == 2).await;
        dropped.cancel().await;
        shared.cancel().await;
        assert_eq!(rig.resolver.waiting(), 1);
        rig.names.release("stuck0.test", false);
        kept.await.ok().unwrap();
        assert_eq!(rig.names.begun(9)[8..], ["two.test"], "the other would have been looked up before it");
    });
}

#[test]
fn a_lookup_failure_names_the_name() {
    Rig::run(async |rig| {
        let unknown = failure(rig.connect("none.test").await.await);
        assert_eq!(unknown.to_string(), r#"cannot look up "none.test": no such name"#);
        let _others = rig.stuck(8).await;
        let soon = ClientConfig::new().handshake_timeout(Duration::from_millis(20));
        // One that waits for a thread, and one that has it.
        for host in ["good.test", "stuck3.test"] {
            let late = failure(rig.connect_with(host, soon.clone()).await);
            assert!(late.to_string().contains(&format!("cannot look up {host:?}")), "{late}");
            match late {
                ConnectError::Name { error, .. } => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rig.resolver.waiting(), 0, "its lookup is dropped");
    });
}
