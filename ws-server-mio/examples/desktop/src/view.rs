//! The window and its pixels.

use crate::canvas::{Area, Canvas};
use crate::draw::wave_area;
use softbuffer::{Context, Surface};
use std::error::Error;
use std::num::NonZeroU32;
use std::rc::Rc;
use winit::dpi::{LogicalSize, PhysicalPosition};
use winit::event_loop::{ActiveEventLoop, OwnedDisplayHandle};
use winit::window::Window;

/// A window drawn in software.
pub(crate) struct View {
    window: Rc<Window>,
    surface: Surface<OwnedDisplayHandle, Rc<Window>>,
    /// The mouse position, in pixels.
    pub(crate) pointer: PhysicalPosition<f64>,
    /// The window is not visible.
    pub(crate) hidden: bool,
}

impl View {
    pub(crate) fn new(event_loop: &ActiveEventLoop) -> Result<Self, Box<dyn Error>> {
        let attributes = Window::default_attributes()
            .with_title("Live scope")
            .with_inner_size(LogicalSize::new(960, 600))
            .with_min_inner_size(LogicalSize::new(720, 420));
        let window = Rc::new(event_loop.create_window(attributes)?);
        let context = Context::new(event_loop.owned_display_handle())?;
        let surface = Surface::new(&context, Rc::clone(&window))?;
        Ok(Self { window, surface, pointer: PhysicalPosition::default(), hidden: false })
    }

    pub(crate) fn request_redraw(&self) {
        self.window.request_redraw();
    }

    pub(crate) fn hide(&mut self) {
        self.hidden = true;
        self.window.set_visible(false);
    }

    /// Shows the output of `draw`. A new size or scale takes effect in the next frame.
    ///
    /// # Errors
    /// When the system provides no pixels.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Canvas<'_>)) -> Result<(), Box<dyn Error>> {
        let size = self.window.inner_size();
        let (Some(width), Some(height)) = (NonZeroU32::new(size.width), NonZeroU32::new(size.height)) else {
            return Ok(()); // minimized
        };
        self.surface.resize(width, height)?;
        let mut pixels = self.surface.buffer_mut()?;
        draw(&mut Canvas::new(&mut pixels, size.width as usize, self.window.scale_factor() as f32));
        self.window.pre_present_notify();
        pixels.present()?;
        Ok(())
    }

    /// The mouse position on the wave: from 0 to 1 in each direction, and beyond that outside.
    pub(crate) fn on_wave(&self) -> (f32, f32) {
        let size = self.window.inner_size().to_logical::<f32>(self.window.scale_factor());
        let wave = wave_area(Area { x: 0.0, y: 0.0, w: size.width, h: size.height });
        let mouse = self.pointer.to_logical::<f32>(self.window.scale_factor());
        ((mouse.x - wave.x) / wave.w.max(1.0), (mouse.y - wave.y) / wave.h.max(1.0))
    }
}
