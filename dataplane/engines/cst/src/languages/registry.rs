//! Grammars by name, and files to grammars.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use tree_sitter::Language;

use super::builtin::{BUILTINS, Builtin};
use super::detect::{self, Hint};
use super::grammar::Grammar;

/// What a file name or a mode line may call a language besides its own name.
const ALIASES: &[(&str, &str)] = &[
    ("c++", "cpp"),
    ("py", "python"),
    ("js", "javascript"),
    ("js2", "javascript"),
    ("ts", "typescript"),
    ("sh", "bash"),
    ("shell-script", "bash"),
    ("golang", "go"),
    ("rs", "rust"),
];

#[derive(Debug)]
enum Entry {
    Builtin(fn() -> Language, OnceLock<Arc<Grammar>>),
    Added(Arc<Grammar>),
}

/// The languages that can be stored. A grammar's tables are read when it is first asked for.
#[derive(Debug, Default)]
pub struct Registry {
    entries: HashMap<Box<str>, Entry>,
    extensions: HashMap<Box<str>, Box<str>>,
    names: HashMap<Box<str>, Box<str>>,
    interpreters: HashMap<Box<str>, Box<str>>,
}

impl Registry {
    /// Without any language.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The grammars that this build has.
    pub fn builtin() -> Self {
        let mut registry = Self::empty();
        for builtin in BUILTINS {
            registry.add_builtin(builtin);
        }
        registry
    }

    /// One registry of the grammars of this build for the whole process, so that trees from all its
    /// parts share their symbols.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Registry> = LazyLock::new(Registry::builtin);
        &SHARED
    }

    fn add_builtin(&mut self, builtin: &Builtin) {
        let entry = Entry::Builtin(builtin.language, OnceLock::new());
        self.entries.insert(builtin.name.into(), entry);
        let (name, extensions) = (builtin.name, builtin.extensions);
        self.claim(name, extensions, builtin.names, builtin.interpreters);
    }

    /// Adds a grammar, or replaces the one of its name. Extensions come without the dot; what is
    /// claimed here goes before what was claimed earlier.
    pub fn add(&mut self, name: &str, language: Language, extensions: &[&str]) -> Arc<Grammar> {
        let grammar = Grammar::new(name, language);
        self.entries.insert(name.into(), Entry::Added(Arc::clone(&grammar)));
        self.claim(name, extensions, &[], &[]);
        grammar
    }

    fn claim(&mut self, name: &str, extensions: &[&str], names: &[&str], interpreters: &[&str]) {
        let maps = [&mut self.extensions, &mut self.names, &mut self.interpreters];
        for (map, keys) in maps.into_iter().zip([extensions, names, interpreters]) {
            map.extend(keys.iter().map(|key| (Box::from(*key), Box::from(name))));
        }
    }

    /// Names of all languages, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.entries.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// The grammar called `name`, or by another usual name of its language.
    pub fn get(&self, name: &str) -> Option<Arc<Grammar>> {
        let known = self.entries.get_key_value(name).or_else(|| {
            let (_, alias) = ALIASES.iter().find(|(alias, _)| *alias == name)?;
            self.entries.get_key_value(*alias)
        });
        let (name, entry) = known?;
        Some(Arc::clone(match entry {
            Entry::Added(grammar) => grammar,
            Entry::Builtin(language, grammar) => {
                grammar.get_or_init(|| Grammar::new(name, language()))
            }
        }))
    }

    /// The language of a file by its name, else by its first bytes: `#!` line, Emacs or Vim mode
    /// line, the start of HTML or JSON. A header that reads like C++ is C++.
    pub fn detect(&self, path: &Path, source: &[u8]) -> Option<Arc<Grammar>> {
        let by_name = self.by_file_name(path);
        if by_name == Some("c") && path.extension().is_some_and(|it| it == "h") {
            let cpp = detect::is_cpp_header(source).then(|| self.get("cpp")).flatten();
            return cpp.or_else(|| self.get("c"));
        }
        by_name.and_then(|name| self.get(name)).or_else(|| self.by_content(source))
    }

    fn by_file_name(&self, path: &Path) -> Option<&str> {
        let file_name = path.file_name()?.to_str()?;
        let whole = self.names.get(file_name);
        let by_extension = || {
            let extension = path.extension()?.to_str()?;
            let lower = || self.extensions.get(&*extension.to_ascii_lowercase());
            self.extensions.get(extension).or_else(lower)
        };
        whole.or_else(by_extension).map(|name| &**name)
    }

    fn by_content(&self, source: &[u8]) -> Option<Arc<Grammar>> {
        match detect::hint(source)? {
            Hint::Interpreter(program) => self.get(self.interpreters.get(program)?),
            Hint::Mode(mode) => self.get(&mode.to_ascii_lowercase()),
            Hint::Start(name) => self.get(name),
        }
    }
}
