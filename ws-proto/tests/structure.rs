//! How the source files, and the folders, depend on each other: no circle.

use ws_kit::modules::Arrows;

#[test]
fn source_files_and_folders_depend_on_each_other_in_no_circle() {
    let files = Arrows::read(env!("CARGO_MANIFEST_DIR"));
    files.between_folders().assert_no_circle();
    // Connection, Codec: the files below define fields of it, and give it methods.
    files.without_parts().assert_no_circle();
}
