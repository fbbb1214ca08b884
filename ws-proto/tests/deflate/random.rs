//! Properties of any messages, terms, forms and cuts, and of any bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use ws_kit::deflate::from_bytes;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_message_in_any_form_is_delivered(bytes in vec(any::<u8>(), 0..600)) {
        from_bytes::exchange(&bytes);
    }

    #[test]
    fn any_input_respects_the_limit_and_cuts_change_nothing(bytes in vec(any::<u8>(), 0..400)) {
        from_bytes::garbage(&bytes);
    }
}
