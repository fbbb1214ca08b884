//! The dependencies between source files, and between folders, have no cycles.

use ws_kit::modules::Dependencies;

#[test]
fn source_files_and_folders_have_no_dependency_cycles() {
    let files = Dependencies::read(env!("CARGO_MANIFEST_DIR"));
    files.between_folders().assert_no_cycle();
    // Connection, Codec: submodules define some of their fields and methods.
    files.without_parts().assert_no_cycle();
}
