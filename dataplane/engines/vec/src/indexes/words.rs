//! Words of a text, and what is asked for by words.

use unicode_segmentation::UnicodeSegmentation;

/// Longest word that is told from others, in bytes of UTF-8; of a longer one the begin counts.
pub const WORD_BYTES: usize = 64;

/// Gives `each` every word of `text`, in lower case, as often as it occurs.
///
/// Words are those of Unicode's text segmentation (UAX #29) that have a letter or a digit.
pub(crate) fn words(text: &str, mut each: impl FnMut(&str)) {
    let mut lower = String::new();
    for word in text.unicode_words() {
        lower.clear();
        lower.extend(word.chars().flat_map(char::to_lowercase));
        let mut end = lower.len().min(WORD_BYTES);
        while !lower.is_char_boundary(end) {
            end -= 1;
        }
        each(&lower[..end]);
    }
}

/// Gives the rows of a word, or of those that begin so.
pub(crate) type Look<'a, E> = dyn FnMut(&str, bool) -> Result<Vec<u32>, E> + 'a;

/// Which texts are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// Texts with this word; in upper or lower case.
    Word(String),
    /// Texts with a word that begins so.
    Prefix(String),
    /// Texts that all of these mean; none mean every text.
    All(Vec<Words>),
    /// Texts that one of these means; none mean no text.
    Any(Vec<Words>),
}

impl Words {
    /// Texts that have all words of `text`.
    #[must_use]
    pub fn all_of(text: &str) -> Self {
        Self::All(each_of(text))
    }

    /// Texts that have a word of `text`.
    #[must_use]
    pub fn any_of(text: &str) -> Self {
        Self::Any(each_of(text))
    }

    /// The same, of words that begin as these.
    #[must_use]
    pub fn beginnings(self) -> Self {
        let each = |parts: Vec<Self>| parts.into_iter().map(Self::beginnings).collect();
        match self {
            Self::Word(word) | Self::Prefix(word) => Self::Prefix(word),
            Self::All(parts) => Self::All(each(parts)),
            Self::Any(parts) => Self::Any(each(parts)),
        }
    }

    /// Which rows are meant, ascending; `look` gives those of one word or prefix, `all` every row.
    pub(crate) fn rows<E>(
        &self,
        look: &mut Look<'_, E>,
        all: &dyn Fn() -> Vec<u32>,
    ) -> Result<Vec<u32>, E> {
        match self {
            Self::Word(word) => look(&folded(word), false),
            Self::Prefix(prefix) => look(&folded(prefix), true),
            Self::Any(parts) => {
                let mut rows = Vec::new();
                for part in parts {
                    rows.extend(part.rows(look, all)?);
                }
                rows.sort_unstable();
                rows.dedup();
                Ok(rows)
            }
            Self::All(parts) => {
                let mut common: Option<Vec<u32>> = None;
                for part in parts {
                    let rows = part.rows(look, all)?;
                    common = Some(match common {
                        None => rows,
                        Some(common) => both(&common, &rows),
                    });
                }
                Ok(common.unwrap_or_else(all))
            }
        }
    }
}

fn each_of(text: &str) -> Vec<Words> {
    let mut parts = Vec::new();
    words(text, |word| parts.push(Words::Word(word.to_owned())));
    parts
}

/// In lower case, and no longer than words are told apart by.
fn folded(word: &str) -> String {
    let mut lower: String = word.chars().flat_map(char::to_lowercase).collect();
    let mut end = lower.len().min(WORD_BYTES);
    while !lower.is_char_boundary(end) {
        end -= 1;
    }
    lower.truncate(end);
    lower
}

/// What two ascending lists have in common.
pub(crate) fn both(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    few.iter().copied().filter(|row| many.binary_search(row).is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        words(text, |word| out.push(word.to_owned()));
        out
    }

    #[test]
    fn words_are_those_of_unicode_in_lower_case() {
        assert_eq!(
            of("The Quick-brown fox, can't! 3.14 …"),
            ["the", "quick", "brown", "fox", "can't", "3.14"]
        );
        assert_eq!(of("ÄRGER Straße ΣΊΣΥΦΟΣ"), ["ärger", "straße", "σίσυφοσ"]);
        assert_eq!(of(""), [""; 0]);
        let long = "é".repeat(100);
        assert_eq!(of(&long), [&long[..64]]);
        assert_eq!(folded(&long), &long[..64]);
    }

    #[test]
    fn expressions_mean_sets() {
        let rows = |words: &Words| {
            let look = |word: &str, prefix: bool| {
                let of = |name: &str| if prefix { name.starts_with(word) } else { name == word };
                let names = [("apple", 1), ("apple", 4), ("apply", 2), ("bee", 1), ("bee", 2)];
                let mut rows: Vec<u32> =
                    names.iter().filter(|(name, _)| of(name)).map(|(_, row)| *row).collect();
                rows.sort_unstable();
                Ok::<_, ()>(rows)
            };
            let (mut look, all) = (look, || (0..6).collect());
            words.rows(&mut look, &all).expect("no errors")
        };
        assert_eq!(rows(&Words::Word("APPLE".into())), [1, 4]);
        assert_eq!(rows(&Words::Prefix("app".into())), [1, 2, 4]);
        assert_eq!(rows(&Words::all_of("bee apple")), [1]);
        assert_eq!(rows(&Words::any_of("bee apple")), [1, 2, 4]);
        assert_eq!(rows(&Words::all_of("B app").beginnings()), [1, 2]);
        assert_eq!(rows(&Words::All(vec![])), [0, 1, 2, 3, 4, 5]);
        assert_eq!(rows(&Words::Any(vec![])), [0; 0]);
    }
}
