//! How the source files depend on each other: no circle, but for what is inherent.

use ws_kit::modules::Arrows;

#[test]
fn source_files_depend_on_each_other_in_no_circle() {
    // An extension is handed the connections, which hold it.
    Arrows::read(env!("CARGO_MANIFEST_DIR")).without("extension", "connection").assert_no_circle();
}
