//! Page sizes: what may be wished for, and the ladder from a wish down to 4 KiB.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The pages that back a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PageSize {
    /// 1 GiB pages of the hugetlb pool.
    #[serde(rename = "1g")]
    Huge1G,
    /// 2 MiB pages of the hugetlb pool.
    #[serde(rename = "2m")]
    Huge2M,
    /// Transparent huge pages: 2 MiB where the kernel could collapse the range.
    #[serde(rename = "thp")]
    Thp,
    /// Base pages of 4 KiB.
    #[serde(rename = "4k")]
    Base4K,
}

impl PageSize {
    /// Largest first: the order in which [`PageWish::Auto`] tries.
    pub const LADDER: [Self; 4] = [Self::Huge1G, Self::Huge2M, Self::Thp, Self::Base4K];

    /// Bytes of one page; a region's length is a multiple of it.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Huge1G => 1 << 30,
            Self::Huge2M | Self::Thp => 2 << 20,
            Self::Base4K => 4 << 10,
        }
    }

    /// Whether the pages come from the preallocated hugetlb pool: never swapped, never moved.
    #[must_use]
    pub const fn is_hugetlb(self) -> bool {
        matches!(self, Self::Huge1G | Self::Huge2M)
    }

    /// The hugetlb size of `bytes` per page; `None` when it is neither 1 GiB nor 2 MiB.
    pub(super) const fn hugetlb(bytes: u64) -> Option<Self> {
        match bytes {
            0x4000_0000 => Some(Self::Huge1G),
            0x20_0000 => Some(Self::Huge2M),
            _ => None,
        }
    }

    /// Place in [`Self::LADDER`]; a higher rank is a smaller page.
    const fn rank(self) -> usize {
        self as usize
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Huge1G => "1g",
            Self::Huge2M => "2m",
            Self::Thp => "thp",
            Self::Base4K => "4k",
        })
    }
}

/// Which pages are wished for.
///
/// As text (`FromStr`): `auto`, `2m` for exactly these pages, `max:2m` for these or smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageWish {
    /// The largest page that is not larger than the region, down the ladder 1g, 2m, thp, 4k.
    #[default]
    Auto,
    /// These pages or, where the host refuses them, the next smaller ones.
    AtMost(PageSize),
    /// These pages, or an error.
    Exact(PageSize),
}

impl PageWish {
    /// Whether pages of this size fulfil the wish.
    #[must_use]
    pub const fn admits(self, pages: PageSize) -> bool {
        match self {
            Self::Auto => true,
            Self::AtMost(most) => pages.rank() >= most.rank(),
            Self::Exact(exact) => pages.rank() == exact.rank(),
        }
    }

    /// The steps to try for a region of `bytes`, best first; never empty.
    pub(super) fn steps(self, bytes: u64) -> impl Iterator<Item = PageSize> {
        PageSize::LADDER.into_iter().filter(move |&pages| match self {
            Self::Auto => pages == PageSize::Base4K || pages.bytes() <= bytes,
            _ => self.admits(pages),
        })
    }
}

/// Text that names no page wish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no page size; use auto, 1g, 2m, thp, 4k, or max: before a size, as in max:2m")]
pub struct BadPageWish(String);

impl FromStr for PageWish {
    type Err = BadPageWish;

    fn from_str(text: &str) -> Result<Self, BadPageWish> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (name, at_most) = text.strip_prefix("max:").map_or((text, false), |rest| (rest, true));
        let pages = PageSize::LADDER
            .into_iter()
            .find(|pages| pages.to_string() == name)
            .ok_or_else(|| BadPageWish(text.to_owned()))?;
        Ok(if at_most { Self::AtMost(pages) } else { Self::Exact(pages) })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_no_page_larger_than_the_region() {
        let steps = |wish: PageWish, bytes| wish.steps(bytes).collect::<Vec<_>>();
        use PageSize::{Base4K, Huge1G, Huge2M, Thp};
        assert_eq!(steps(PageWish::Auto, 1), [Base4K]);
        assert_eq!(steps(PageWish::Auto, 2 << 20), [Huge2M, Thp, Base4K]);
        assert_eq!(steps(PageWish::Auto, 1 << 30), PageSize::LADDER);
        assert_eq!(steps(PageWish::AtMost(Huge2M), 1), [Huge2M, Thp, Base4K]);
        assert_eq!(steps(PageWish::Exact(Huge1G), 1), [Huge1G]);
    }

    #[test]
    fn wishes_read_back_from_text() {
        assert_eq!("auto".parse(), Ok(PageWish::Auto));
        assert_eq!("thp".parse(), Ok(PageWish::Exact(PageSize::Thp)));
        assert_eq!("max:2m".parse(), Ok(PageWish::AtMost(PageSize::Huge2M)));
        assert!("2M".parse::<PageWish>().is_err() && "max:".parse::<PageWish>().is_err());
    }
}
