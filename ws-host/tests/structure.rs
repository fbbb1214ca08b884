//! Source files and folders have no dependency cycles.

use ws_kit::modules::Dependencies;

#[test]
fn source_files_and_folders_have_no_dependency_cycles() {
    let files = Dependencies::read(env!("CARGO_MANIFEST_DIR"));
    files.assert_no_cycle();
    files.between_folders().assert_no_cycle();
}
