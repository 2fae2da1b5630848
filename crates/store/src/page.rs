//! Lists a page at a time, newest first, by where the last page ended and not by counting.

use time::OffsetDateTime;
use uuid::Uuid;

/// How many items a page holds: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u32);

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// What the page holds.
    pub items: Vec<T>,
    /// Ask for what comes before this to get the next page; absent on the last one.
    pub next: Option<C>,
}

impl PageSize {
    const MAX: u32 = 100;

    /// The nearest size that is allowed.
    pub fn clamped(size: u32) -> Self {
        Self(size.clamp(1, Self::MAX))
    }

    /// One more than the page holds: whether it comes tells if there is a next page.
    pub(crate) fn probe(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(50)
    }
}

/// Where a list that is ordered by time ended: behind this item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When the item was recorded.
    pub at: OffsetDateTime,
    /// Its identifier, which tells those of the same moment apart.
    pub id: Uuid,
}

impl<T, C> Page<T, C> {
    pub(crate) fn cut(mut items: Vec<T>, size: PageSize, cursor: impl Fn(&T) -> C) -> Self {
        let wanted = size.0 as usize;
        let more = items.len() > wanted;
        items.truncate(wanted);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}
