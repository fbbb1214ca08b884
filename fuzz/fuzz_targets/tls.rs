#![cfg_attr(fuzzing, no_main)]
#![allow(missing_docs)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ws_fuzz::tls(data);
});
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    ws_fuzz::replay(ws_fuzz::tls)
}
