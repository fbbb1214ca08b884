//! A window at 60 frames a second that serves a live page, on one thread.
//!
//! ```text
//! cargo run --release --manifest-path ws-server-mio/examples/desktop/Cargo.toml            # on a free port
//! cargo run --release --manifest-path ws-server-mio/examples/desktop/Cargo.toml -- 8080    # on this one
//! ```
//!
//! Open the printed address in a browser: the page shows the same curve, live. Changes made there appear
//! in the window, and vice versa (drag, wheel, arrow keys). "Flood me" opens fifty sockets that send as
//! fast as they can: watch the window meanwhile.
//!
//! ```text
//!  main.rs    the window and the loop          scope.rs   the shared state, and its changes
//!  serve.rs   requests and messages            meter.rs   when frames are due, and their timing
//!  page.html  the page                         draw.rs    the picture, on view.rs and canvas.rs
//! ```
//!
//! [`App::about_to_wait`] runs both in one loop; a helper thread only waits (`Endpoint::watch`). On
//! Wayland without X11, add `--features wayland`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

mod canvas;
mod draw;
mod meter;
mod scope;
mod serve;
mod view;

use meter::Meter;
use scope::Scope;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use view::View;
use winit::application::ApplicationHandler;
use winit::event::{ElementState, MouseButton, MouseScrollDelta, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::keyboard::{Key, NamedKey};
use winit::window::WindowId;
use ws_server_mio::{Bind, ConnectionId, Endpoint, Event, Options, ServerConfig, ServerId, Turn};

/// How long pages may take to answer the Close.
const FAREWELL: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("desktop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| "usage: desktop [PORT]")?,
        None => 0, // the system chooses a free one
    };
    // `ui`: a turn ends when its millisecond is spent. The low marks limit unread output, so a page shows
    // recent state.
    let mut endpoint = Endpoint::with(Options::ui())?;
    let config = ServerConfig::new()
        .upgrade_paths([serve::LIVE, serve::FLOOD])
        .message_limit(64 << 10)
        .outbox(16 << 10, 64 << 10, 1 << 20);
    let server = endpoint.connections().listen(Bind::localhost().port(port), config)?;
    let url = endpoint.connections().server(server).http_url("/").unwrap_or_default();

    let event_loop = EventLoop::<Wake>::with_user_event().build()?;
    let proxy = event_loop.create_proxy();
    // Called on a helper thread. It fails when the loop has ended.
    let _watch = endpoint.watch(move || drop(proxy.send_event(Wake)))?;
    println!("desktop: {url}");
    io::stdout().flush()?;
    let mut app = App {
        endpoint,
        server,
        url,
        scope: Scope::new(),
        meter: Meter::new(Instant::now()),
        view: None,
        drags: false,
        failure: None,
    };
    event_loop.run_app(&mut app)?;
    app.failure.map_or(Ok(()), Err)
}

/// The server has work. This needs no handler: [`App::about_to_wait`] follows any event.
struct Wake;

struct App {
    endpoint: Endpoint,
    server: ServerId,
    url: String,
    scope: Scope<ConnectionId>,
    meter: Meter,
    /// `None` before the first `resumed`.
    view: Option<View>,
    /// The mouse drags the wave.
    drags: bool,
    /// Why the loop ended, unless the user closed the window.
    failure: Option<Box<dyn Error>>,
}

impl ApplicationHandler<Wake> for App {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.view.is_none() {
            match View::new(event_loop) {
                Ok(view) => self.view = Some(view),
                Err(error) => self.fail(event_loop, error),
            }
        }
    }

    /// After the window's events, and before the loop waits for more, the server gets one
    /// short turn. No turn runs elsewhere, not even for [`Wake`], so that input and drawing come between
    /// any two turns, however much input the network brings.
    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let now = Instant::now();
        if self.meter.is_due(now) {
            self.frame(now);
        }
        let more = match self.turn(event_loop) {
            Ok(turn) => turn.more,
            Err(error) => return self.fail(event_loop, error.into()),
        };
        let flow = if more { ControlFlow::Poll } else { ControlFlow::WaitUntil(self.meter.next()) };
        event_loop.set_control_flow(flow);
    }

    fn window_event(&mut self, _: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(view) = &mut self.view else { return };
        let wave = *self.scope.wave();
        match event {
            WindowEvent::RedrawRequested => self.draw(),
            WindowEvent::Occluded(hidden) => view.hidden = hidden,
            WindowEvent::CloseRequested => self.close(),
            WindowEvent::CursorMoved { position, .. } => {
                view.pointer = position;
                self.drag();
            }
            WindowEvent::MouseInput { state, button: MouseButton::Left, .. } => {
                let (x, y) = view.on_wave();
                let inside = (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y);
                self.drags = state == ElementState::Pressed && inside;
                self.drag();
            }
            WindowEvent::MouseWheel { delta, .. } => {
                let notches = match delta {
                    MouseScrollDelta::LineDelta(_, lines) => lines,
                    MouseScrollDelta::PixelDelta(pixels) => pixels.y as f32 / 40.0,
                };
                self.scope.set(None, Some(wave.frequency + 0.5 * notches));
            }
            WindowEvent::KeyboardInput { event, .. } if event.state == ElementState::Pressed => {
                let (amplitude, frequency) = (wave.amplitude, wave.frequency);
                match event.logical_key {
                    Key::Named(NamedKey::ArrowUp) => self.scope.set(Some(amplitude + 5.0), None),
                    Key::Named(NamedKey::ArrowDown) => self.scope.set(Some(amplitude - 5.0), None),
                    Key::Named(NamedKey::ArrowRight) => self.scope.set(None, Some(frequency + 0.5)),
                    Key::Named(NamedKey::ArrowLeft) => self.scope.set(None, Some(frequency - 0.5)),
                    Key::Named(NamedKey::Escape) => self.close(),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

impl App {
    /// One turn of the server: input and output, for about a millisecond.
    fn turn(&mut self, event_loop: &ActiveEventLoop) -> io::Result<Turn> {
        let Self { endpoint, scope, meter, .. } = self;
        let turn = endpoint.poll(Some(Duration::ZERO), |connections, event| match event {
            Event::Stopped(_) => event_loop.exit(),
            event => serve::handle(connections, scope, meter, event),
        })?;
        self.meter.turn(turn.elapsed);
        Ok(turn)
    }

    /// A sixtieth of a second has passed. A minimized or covered window is not drawn; the pages are served
    /// regardless.
    fn frame(&mut self, now: Instant) {
        self.scope.advance();
        let connections = self.endpoint.connections();
        if self.meter.is_second(now) {
            let stats = connections.stats();
            self.meter.summarize(now, stats.messages_in + stats.messages_out);
        }
        serve::publish(connections, &self.scope, &self.meter);
        match &self.view {
            Some(view) if !view.hidden => {
                view.request_redraw();
                self.meter.request_frame();
            }
            _ => self.meter.pause(),
        }
    }

    fn draw(&mut self) {
        let Self { view: Some(view), scope, meter, url, .. } = self else { return };
        meter.frame(Instant::now());
        if let Err(error) = view.draw(|canvas| draw::draw(canvas, scope, meter, url)) {
            // A window that is being resized may briefly have no pixels.
            eprintln!("desktop: {error}");
        }
    }

    /// The wave follows the mouse.
    fn drag(&mut self) {
        if let Some(view) = self.view.as_ref().filter(|_| self.drags) {
            let (x, y) = view.on_wave();
            self.scope.set(Some(100.0 * (2.0 * y - 1.0).abs()), Some(1.0 + 11.0 * x));
        }
    }

    /// Closes pages with 1001, so that they reconnect after a restart. The loop ends when all have
    /// answered, or after [`FAREWELL`].
    fn close(&mut self) {
        if let Some(view) = &mut self.view {
            view.hide();
        }
        self.endpoint.connections().server(self.server).stop(FAREWELL);
    }

    fn fail(&mut self, event_loop: &ActiveEventLoop, error: Box<dyn Error>) {
        self.failure = Some(error);
        event_loop.exit();
    }
}
