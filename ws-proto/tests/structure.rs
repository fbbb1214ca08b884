//! The dependencies between source files, and between folders, have no cycles.

use ws_kit::modules::Arrows;

#[test]
fn source_files_and_folders_depend_on_each_other_in_no_circle() {
    let files = Arrows::read(env!("CARGO_MANIFEST_DIR"));
    files.between_folders().assert_no_circle();
    // Connection, Codec: submodules define some of their fields and methods.
    files.without_parts().assert_no_circle();
}
