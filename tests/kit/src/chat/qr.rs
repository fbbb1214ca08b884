//! The QR code of a URL, for a phone to open it.

use qrcode::render::unicode::Dense1x2;
use qrcode::types::QrError;
use qrcode::{EcLevel, QrCode};

/// The code for a terminal with a dark background, two modules in each character. Most cameras read it inverted, too.
///
/// # Errors
/// If the text is too long for a code: over two kilobytes.
pub fn qr_code(text: &str) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
    let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
    Ok(code.render::<Dense1x2>().dark_color(dark).light_color(light).build())
}
