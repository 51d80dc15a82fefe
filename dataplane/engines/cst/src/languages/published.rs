//! Queries that grammars are published with.

/// By language and kind.
const PUBLISHED: &[(&str, &str, &str)] = &[
    #[cfg(feature = "rust")]
    ("rust", "highlights", tree_sitter_rust::HIGHLIGHTS_QUERY),
    #[cfg(feature = "rust")]
    ("rust", "injections", tree_sitter_rust::INJECTIONS_QUERY),
    #[cfg(feature = "rust")]
    ("rust", "tags", tree_sitter_rust::TAGS_QUERY),
    #[cfg(feature = "c")]
    ("c", "highlights", tree_sitter_c::HIGHLIGHT_QUERY),
    #[cfg(feature = "c")]
    ("c", "tags", tree_sitter_c::TAGS_QUERY),
    #[cfg(feature = "cpp")]
    ("cpp", "highlights", tree_sitter_cpp::HIGHLIGHT_QUERY),
    #[cfg(feature = "cpp")]
    ("cpp", "tags", tree_sitter_cpp::TAGS_QUERY),
    #[cfg(feature = "python")]
    ("python", "highlights", tree_sitter_python::HIGHLIGHTS_QUERY),
    #[cfg(feature = "python")]
    ("python", "tags", tree_sitter_python::TAGS_QUERY),
    #[cfg(feature = "json")]
    ("json", "highlights", tree_sitter_json::HIGHLIGHTS_QUERY),
    #[cfg(feature = "javascript")]
    ("javascript", "highlights", tree_sitter_javascript::HIGHLIGHT_QUERY),
    #[cfg(feature = "javascript")]
    ("javascript", "jsx", tree_sitter_javascript::JSX_HIGHLIGHT_QUERY),
    #[cfg(feature = "javascript")]
    ("javascript", "injections", tree_sitter_javascript::INJECTIONS_QUERY),
    #[cfg(feature = "javascript")]
    ("javascript", "locals", tree_sitter_javascript::LOCALS_QUERY),
    #[cfg(feature = "javascript")]
    ("javascript", "tags", tree_sitter_javascript::TAGS_QUERY),
    #[cfg(feature = "typescript")]
    ("typescript", "highlights", tree_sitter_typescript::HIGHLIGHTS_QUERY),
    #[cfg(feature = "typescript")]
    ("typescript", "locals", tree_sitter_typescript::LOCALS_QUERY),
    #[cfg(feature = "typescript")]
    ("typescript", "tags", tree_sitter_typescript::TAGS_QUERY),
    #[cfg(feature = "go")]
    ("go", "highlights", tree_sitter_go::HIGHLIGHTS_QUERY),
    #[cfg(feature = "go")]
    ("go", "tags", tree_sitter_go::TAGS_QUERY),
    #[cfg(feature = "java")]
    ("java", "highlights", tree_sitter_java::HIGHLIGHTS_QUERY),
    #[cfg(feature = "java")]
    ("java", "tags", tree_sitter_java::TAGS_QUERY),
    #[cfg(feature = "bash")]
    ("bash", "highlights", tree_sitter_bash::HIGHLIGHT_QUERY),
    #[cfg(feature = "html")]
    ("html", "highlights", tree_sitter_html::HIGHLIGHTS_QUERY),
    #[cfg(feature = "html")]
    ("html", "injections", tree_sitter_html::INJECTIONS_QUERY),
    #[cfg(feature = "css")]
    ("css", "highlights", tree_sitter_css::HIGHLIGHTS_QUERY),
];

/// Languages, kinds (`highlights`, `tags`, `locals`, `injections`, `jsx`) and texts of the queries that
/// grammars of this build are published with.
pub fn published_queries() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    PUBLISHED.iter().copied()
}

/// The query of a kind that a language's grammar is published with.
pub fn published_query(language: &str, kind: &str) -> Option<&'static str> {
    let mut all = published_queries();
    all.find(|(of, known, _)| *of == language && *known == kind).map(|(_, _, text)| text)
}
