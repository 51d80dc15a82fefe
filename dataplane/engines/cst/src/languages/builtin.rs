//! The grammars that this build has, by feature.

use tree_sitter::Language;

/// A grammar crate with the file names that it is for.
#[derive(Clone, Copy)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) language: fn() -> Language,
    /// Ends of file names, without the dot.
    pub(super) extensions: &'static [&'static str],
    /// Whole file names.
    pub(super) names: &'static [&'static str],
    /// Interpreters after `#!`, without version digits.
    pub(super) interpreters: &'static [&'static str],
}

macro_rules! builtins {
    ($($feature:literal $name:literal $language:expr, $extensions:expr, $names:expr, $interpreters:expr;)*) => {
        /// All, in the order in which detection asks them.
        pub(super) const BUILTINS: &[Builtin] = &[$(
            #[cfg(feature = $feature)]
            Builtin {
                name: $name,
                language: || Language::new($language),
                extensions: &$extensions,
                names: &$names,
                interpreters: &$interpreters,
            },
        )*];
    };
}

builtins! {
    "rust" "rust" tree_sitter_rust::LANGUAGE, ["rs"], [], ["rust-script"];
    "c" "c" tree_sitter_c::LANGUAGE, ["c", "h"], [], ["tcc"];
    "cpp" "cpp" tree_sitter_cpp::LANGUAGE,
        ["cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "ipp", "inl", "tpp"], [], [];
    "python" "python" tree_sitter_python::LANGUAGE, ["py", "pyi", "pyw"],
        ["SConstruct", "SConscript", "wscript"], ["python", "pypy"];
    "javascript" "javascript" tree_sitter_javascript::LANGUAGE, ["js", "mjs", "cjs", "jsx"], [],
        ["node", "nodejs", "bun"];
    "typescript" "typescript" tree_sitter_typescript::LANGUAGE_TYPESCRIPT, ["ts", "mts", "cts"],
        [], ["deno", "ts-node", "tsx"];
    "typescript" "tsx" tree_sitter_typescript::LANGUAGE_TSX, ["tsx"], [], [];
    "json" "json" tree_sitter_json::LANGUAGE,
        ["json", "jsonc", "geojson", "webmanifest", "ipynb"], [".babelrc", ".eslintrc"], [];
    "go" "go" tree_sitter_go::LANGUAGE, ["go"], [], [];
    "java" "java" tree_sitter_java::LANGUAGE, ["java"], [], [];
    "bash" "bash" tree_sitter_bash::LANGUAGE, ["sh", "bash", "ebuild", "bats"],
        [".bashrc", ".profile", ".bash_profile"], ["sh", "bash", "dash", "ksh", "zsh"];
    "html" "html" tree_sitter_html::LANGUAGE, ["html", "htm", "xhtml"], [], [];
    "css" "css" tree_sitter_css::LANGUAGE, ["css"], [], [];
}

/// What was trained, by grammar name; `trained/README.md` has how.
pub(super) const TRAINED: &[(&str, &[u8])] = &[
    #[cfg(feature = "rust")]
    ("rust", include_bytes!("../../trained/rust.cst")),
    #[cfg(feature = "c")]
    ("c", include_bytes!("../../trained/c.cst")),
    #[cfg(feature = "cpp")]
    ("cpp", include_bytes!("../../trained/cpp.cst")),
    #[cfg(feature = "python")]
    ("python", include_bytes!("../../trained/python.cst")),
    #[cfg(feature = "javascript")]
    ("javascript", include_bytes!("../../trained/javascript.cst")),
    #[cfg(feature = "typescript")]
    ("typescript", include_bytes!("../../trained/typescript.cst")),
    #[cfg(feature = "typescript")]
    ("tsx", include_bytes!("../../trained/tsx.cst")),
    #[cfg(feature = "json")]
    ("json", include_bytes!("../../trained/json.cst")),
    #[cfg(feature = "go")]
    ("go", include_bytes!("../../trained/go.cst")),
    #[cfg(feature = "java")]
    ("java", include_bytes!("../../trained/java.cst")),
    #[cfg(feature = "bash")]
    ("bash", include_bytes!("../../trained/bash.cst")),
    #[cfg(feature = "html")]
    ("html", include_bytes!("../../trained/html.cst")),
    #[cfg(feature = "css")]
    ("css", include_bytes!("../../trained/css.cst")),
];
