//! The published schemas are what this build reads and writes.

use std::path::Path;

/// Holds `docs/FILE` against `schema`; with PFS_BLESS set, writes it.
#[track_caller]
fn published(file: &str, schema: &schemars::Schema) {
    let mut text = serde_json::to_string_pretty(schema).expect("writes");
    text.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    if std::env::var_os("PFS_BLESS").is_some() {
        std::fs::write(&path, &text).expect("writes");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/{file} is out of date: PFS_BLESS=1 cargo test -p pfs-control --test schema_page"
    );
}

#[test]
fn the_plans_schema_is_the_one_in_force() {
    published("plan.schema.json", &schemars::schema_for!(pfs_control::plan::Plan));
}

#[test]
fn the_live_documents_schema_is_the_one_in_force() {
    published("live.schema.json", &schemars::schema_for!(pfs_control::view::Live));
}
