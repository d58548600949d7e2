//! The JSON Schemas in the tree are those of the types. `WEIR_WRITE_SCHEMAS=1` writes them.

#![expect(
    clippy::disallowed_methods,
    reason = "the test reads files, not the crate"
)]

use std::{fs, path::Path};

#[test]
fn the_schemas_in_the_tree_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    let files = weir_schema::json_schema::files();
    if std::env::var_os("WEIR_WRITE_SCHEMAS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in &files {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    for (name, text) in &files {
        let kept = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(
            &kept, text,
            "{name}: run with WEIR_WRITE_SCHEMAS=1 and look at the difference"
        );
    }
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        files.len(),
        "a schema of no type is left over"
    );
}
