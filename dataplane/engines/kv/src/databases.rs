//! Databases by name: each has three spaces.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::durable::{DurableError, IoContext, write_whole};
use crate::op::Space;

/// Spaces of a database.
const SPACES: u16 = 3;
/// Most databases of a store.
pub const DATABASES_MAX: usize = (u16::MAX / SPACES) as usize;
/// Longest name in bytes.
const NAME_MAX: usize = 64;

/// A database: spaces for keys, for pairs, and for the values of absolute keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Database(u16);

impl Database {
    /// Its keys.
    #[must_use]
    pub const fn keys(self) -> Space {
        Space(self.0 * SPACES)
    }

    /// Its pairs: from bytes to absolute keys.
    #[must_use]
    pub const fn pairs(self) -> Space {
        Space(self.0 * SPACES + 1)
    }

    /// Its values by absolute key.
    #[must_use]
    pub const fn objects(self) -> Space {
        Space(self.0 * SPACES + 2)
    }
}

/// Names and their databases. Number 0 is `default`.
#[derive(Debug)]
pub struct Databases {
    names: BTreeMap<String, Database>,
    path: Option<PathBuf>,
}

/// Whether `name` may be a database's: 1 to 64 letters, digits, `-`, `_` and inner dots, no two of
/// them together. No path and no switch is such a name.
#[must_use]
pub fn valid_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let ends = |byte: Option<&u8>| byte.is_some_and(|&byte| byte != b'.' && byte != b'-');
    let bytes = name.as_bytes();
    bytes.len() <= NAME_MAX
        && bytes.iter().all(|&byte| plain(byte))
        && ends(bytes.first())
        && bytes.last() != Some(&b'.')
        && !name.contains("..")
}

impl Databases {
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, DurableError> {
        let path = folder.map(|folder| folder.join("databases"));
        let mut names = BTreeMap::from([("default".to_owned(), Database(0))]);
        if let Some(path) = &path
            && path.exists()
        {
            let text = std::fs::read_to_string(path).doing("reading", path)?;
            let mut at = 0;
            for line in text.lines() {
                let what = "a line is no name and number";
                let damaged = || DurableError::Damaged { path: path.clone(), at, what };
                let (name, number) = line.split_once(' ').ok_or_else(damaged)?;
                let number = number.parse::<u16>().map_err(|_| damaged())?;
                if !valid_name(name) || usize::from(number) >= DATABASES_MAX {
                    return Err(damaged());
                }
                names.insert(name.to_owned(), Database(number));
                at += line.len() as u64 + 1;
            }
        }
        Ok(Self { names, path })
    }

    /// The database called `name`, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Database> {
        self.names.get(name).copied()
    }

    /// Names and databases, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Database)> {
        self.names.iter().map(|(name, &database)| (name.as_str(), database))
    }

    pub(crate) fn get_or_make(&mut self, name: &str) -> Result<Database, DurableError> {
        if let Some(database) = self.get(name) {
            return Ok(database);
        }
        if !valid_name(name) {
            return Err(DurableError::Name { name: name.chars().take(NAME_MAX).collect() });
        }
        let next = self.names.values().map(|database| database.0 + 1).max().unwrap_or(0);
        if usize::from(next) >= DATABASES_MAX {
            return Err(DurableError::Databases { most: DATABASES_MAX });
        }
        let database = Database(next);
        self.names.insert(name.to_owned(), database);
        let written = self.write();
        if written.is_err() {
            self.names.remove(name);
        }
        written.map(|()| database)
    }

    fn write(&self) -> Result<(), DurableError> {
        let Some(path) = &self.path else { return Ok(()) };
        let lines = self.names.iter().map(|(name, database)| format!("{name} {}\n", database.0));
        write_whole(path, lines.collect::<String>().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_are_refused() {
        for name in ["a", "default", "logs-2026.11", "A_b", "0"] {
            assert!(valid_name(name), "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "", ".", "..", "../evil", "a/b", "a\\b", "a\0", "-x", ".x", "x.", "a..b", "ä", "a b",
            &long,
        ] {
            assert!(!valid_name(name), "{name}");
            assert!(Databases::open(None).unwrap().get_or_make(name).is_err());
        }
    }

    #[test]
    fn spaces_of_databases_do_not_meet() {
        let mut all = Databases::open(None).unwrap();
        let (one, two) = (all.get_or_make("one").unwrap(), all.get_or_make("two").unwrap());
        assert_eq!(all.get_or_make("one").unwrap(), one);
        let spaces = [Database(0), one, two].map(|db| [db.keys(), db.pairs(), db.objects()]);
        let mut flat = spaces.concat();
        flat.sort();
        flat.dedup();
        assert_eq!(flat.len(), 9);
    }
}
