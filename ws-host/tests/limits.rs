//! Limits of a server: a limit of zero is enforced, and does not mean unlimited.

use ws_host::server::{Admission, ServerConfig};

#[test]
fn zero_is_a_limit_and_not_unlimited() {
    let mut admission = Admission::new(&ServerConfig::default().max_handshakes(0));
    assert!(!admission.at_handshake_limit() && admission.try_admit(None) && admission.at_handshake_limit());
    assert!(!Admission::new(&ServerConfig::default().max_connections(0)).try_admit(None));
}
