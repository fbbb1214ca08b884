//! Source files have no dependency cycles, apart from inherent ones.

use ws_kit::modules::Dependencies;

#[test]
fn source_files_have_no_dependency_cycles() {
    // An extension receives the connections, which hold it.
    Dependencies::read(env!("CARGO_MANIFEST_DIR")).without("extension", "connection").assert_no_cycle();
}
