//! What holds for any messages, terms, forms and cuts, and for any bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use ws_kit::deflate::from_bytes;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_sent_in_whatever_form_is_told(bytes in vec(any::<u8>(), 0..600)) {
        from_bytes::exchange(&bytes);
    }

    #[test]
    fn whatever_comes_no_message_is_over_the_limit_and_cuts_change_nothing(bytes in vec(any::<u8>(), 0..400)) {
        from_bytes::garbage(&bytes);
    }
}
