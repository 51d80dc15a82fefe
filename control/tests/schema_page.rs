//! `docs/plan.schema.json` is what `pfs plan schema` prints.

use std::path::Path;

#[test]
fn the_published_schema_is_the_one_in_force() {
    let schema = schemars::schema_for!(pfs_control::plan::Plan);
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plan.schema.json");
    if std::env::var_os("PFS_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/plan.schema.json is out of date: PFS_BLESS=1 cargo test -p pfs-control --test schema_page"
    );
}
