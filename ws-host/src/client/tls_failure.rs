//! Which failures of TLS last.

use ws_proto::{CertificateFault, TlsError};

/// Whether another attempt would fail too: trust, names, rules and versions do not change by themselves. But a certificate
/// that has expired or was revoked is renewed, its files may be replaced one by one, a clock may be set, and a cut or
/// corrupted stream may be intact the next time.
pub(super) fn is_final_tls(error: &TlsError) -> bool {
    match error {
        TlsError::ServerCertificate(fault) => !matches!(
            fault,
            CertificateFault::Expired
                | CertificateFault::NotYetValid
                | CertificateFault::Revoked
                | CertificateFault::KeyNotProven
        ),
        // certificate_expired, by the clock of the server.
        TlsError::ClientCertificateRejected(alert) => alert.0 != 45,
        // How the other side describes a corrupted stream: unexpected_message, bad_record_mac, record_overflow,
        // illegal_parameter, decode_error, decrypt_error; internal_error and user_canceled, which may be temporary.
        TlsError::Alert(alert) => !matches!(alert.0, 10 | 20 | 22 | 47 | 50 | 51 | 80 | 90),
        TlsError::Truncated | TlsError::Protocol(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ws_proto::{NameMismatch, TlsAlert};

    #[test]
    fn what_is_renewed_or_was_cut_is_retried_and_trust_is_not() {
        use CertificateFault as F;
        let issuer = || "a CA".into();
        for (fault, is_final) in [
            (F::Expired, false),
            (F::NotYetValid, false),
            (F::Revoked, false),
            (F::KeyNotProven, false),
            (F::WrongName(NameMismatch { expected: "a".into(), presented: Vec::new() }.into()), true),
            (F::NotTrusted { issuer: issuer() }, true),
            (F::IncompleteChain { issuer: issuer() }, true),
            (F::SelfSigned, true),
            (F::CaCertificate, true),
            (F::NotPinned, true),
            (F::WrongPurpose, true),
            (F::NameNotPermitted, true),
            (F::ChainNotPermitted, true),
            (F::BadSignature, true),
            (F::WeakAlgorithm("RSA of 1024 bits".into()), true),
            (F::Malformed, true),
            (F::CriticalExtension, true),
            (F::Other("why".into()), true),
        ] {
            let error = TlsError::ServerCertificate(fault);
            assert_eq!(is_final_tls(&error), is_final, "{error}");
        }
        for (error, is_final) in [
            (TlsError::ServerCertificateMissing, true),
            (TlsError::ClientCertificateMissing, true),
            (TlsError::NoCommonVersion, true),
            (TlsError::NoCommonProtocol, true),
            (TlsError::PlainHttp, true),
            (TlsError::Invalid("why".into()), true),
            (TlsError::Truncated, false),
            (TlsError::Protocol("why".into()), false),
        ] {
            assert_eq!(is_final_tls(&error), is_final, "{error}");
        }
        for (alert, is_final) in [(44, true), (45, false), (46, true), (48, true)] {
            let error = TlsError::ClientCertificateRejected(TlsAlert(alert));
            assert_eq!(is_final_tls(&error), is_final, "{error}");
        }
        for alert in 0..=255 {
            let error = TlsError::Alert(TlsAlert(alert));
            let may_pass = [10, 20, 22, 47, 50, 51, 80, 90].contains(&alert);
            assert_eq!(is_final_tls(&error), !may_pass, "{error}");
        }
    }
}
