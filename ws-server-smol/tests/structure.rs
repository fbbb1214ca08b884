//! How the source files, and the folders, depend on each other: no circle, but for what is inherent.

use ws_kit::modules::Arrows;

#[test]
fn source_files_and_folders_have_no_dependency_cycles() {
    // An extension is handed the server, which holds it.
    let files = Arrows::read(env!("CARGO_MANIFEST_DIR")).without("extension", "server");
    files.assert_no_circle();
    files.between_folders().assert_no_circle();
}
