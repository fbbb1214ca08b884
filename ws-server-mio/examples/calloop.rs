//! In calloop: the endpoint's descriptor is one source among others, and its deadline a timer.
//!
//! `cargo run -p ws-server-mio --example calloop`; a port may follow. `GET /ticks` counts the frames of an animation,
//! which no flood delays.
#![allow(clippy::print_stdout)] // a program for the terminal

#[cfg(unix)]
mod host {
    use calloop::timer::{TimeoutAction, Timer};
    use calloop::{EventLoop, Interest, LoopHandle, Mode, PostAction, RegistrationToken, generic::Generic};
    use std::{env, error::Error, io, os::fd::AsFd, time::Duration};
    use ws_server_mio::web;
    use ws_server_mio::{Bind, Endpoint, Event, Options, ServerConfig};

    const PAGE: &str = include_str!("say.html");

    struct Host {
        endpoint: Endpoint,
        deadline: Option<RegistrationToken>,
        ticks: u64,
        calloop: LoopHandle<'static, Host>,
    }

    impl Host {
        fn turn(&mut self) -> io::Result<()> {
            let turn = self.endpoint.poll(Some(Duration::ZERO), |connections, event| {
                // A send to a peer that has gone is not an error.
                match event {
                    Event::Request(id, request) if request.path() == "/" => {
                        drop(connections.respond(id, request, web::html(PAGE)));
                    }
                    Event::Request(id, request) => {
                        drop(connections.respond(id, request, web::text(self.ticks.to_string())));
                    }
                    Event::Message(id, message) => drop(connections.send(id, message)),
                    _ => {}
                }
            })?;
            // The descriptor does not signal deadlines. While work is left, it stays readable, and the loop returns
            // here after it has checked its other sources.
            self.deadline.take().into_iter().for_each(|timer| self.calloop.remove(timer));
            if !turn.more
                && let Some(timeout) = self.endpoint.next_timeout()
            {
                let timer = self.calloop.insert_source(Timer::from_duration(timeout), |_, _, host| {
                    host.deadline = None;
                    let _also_signalled_by_the_descriptor = host.turn();
                    TimeoutAction::Drop
                });
                self.deadline = Some(timer.map_err(|error| error.error)?);
            }
            Ok(())
        }
    }

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        let port = env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
        let mut endpoint = Endpoint::with(Options::ui())?;
        let server = endpoint.connections().listen(Bind::localhost().port(port), ServerConfig::new())?;
        println!("calloop: {}", endpoint.connections().server(server).http_url("/").unwrap_or_default());

        let mut event_loop = EventLoop::try_new()?;
        let calloop = event_loop.handle();
        let readable = Generic::new(endpoint.as_fd().try_clone_to_owned()?, Interest::READ, Mode::Level);
        calloop
            .insert_source(readable, |_, _, host: &mut Host| host.turn().map(|()| PostAction::Continue))?;
        let frame = Duration::from_micros(16_667);
        calloop.insert_source(Timer::from_duration(frame), move |_, _, host| {
            host.ticks += 1;
            TimeoutAction::ToDuration(frame)
        })?;
        let mut host = Host { endpoint, deadline: None, ticks: 0, calloop };
        host.turn()?;
        Ok(event_loop.run(None, &mut host, |_| {})?)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(unix)]
    return host::run();
    #[cfg(not(unix))]
    Err("an endpoint has a descriptor on unix only; use Endpoint::watch elsewhere".into())
}
