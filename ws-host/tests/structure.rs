//! Source files and folders have no dependency cycles.

use ws_kit::modules::Arrows;

#[test]
fn source_files_and_folders_have_no_dependency_cycles() {
    let files = Arrows::read(env!("CARGO_MANIFEST_DIR"));
    files.assert_no_circle();
    files.between_folders().assert_no_circle();
}
