//! Source files and folders have no dependency cycles, apart from inherent ones.

use ws_kit::modules::Dependencies;

#[test]
fn source_files_and_folders_have_no_dependency_cycles() {
    // An extension receives the server, which holds it.
    let files = Dependencies::read(env!("CARGO_MANIFEST_DIR")).without("extension", "server");
    files.assert_no_cycle();
    files.between_folders().assert_no_cycle();
}
