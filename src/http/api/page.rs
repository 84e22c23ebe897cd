//! Lists are read in parts: a limit, and a cursor that the part before gave.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Problem;
use provisioning_store::pages::Slice;

/// Things on a page that names no limit.
pub(super) const LIMIT_USUAL: u32 = 50;
/// Most things on a page.
pub(super) const LIMIT_MOST: u32 = 200;
/// Longest cursor that is looked at.
const CURSOR_LONGEST: usize = 200;

/// How many things a page may hold.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "u32")]
pub(super) struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(LIMIT_USUAL)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        match limit {
            1..=LIMIT_MOST => Ok(Self(limit)),
            _ => Err(format!("{limit} is no limit; write 1 to {LIMIT_MOST}")),
        }
    }
}

impl Limit {
    /// One more than the page holds: whether it comes tells whether there is another page.
    pub(super) fn and_one(self) -> u32 {
        self.0 + 1
    }

    /// The part of a list, in the order of identities, that a cursor points at.
    pub(super) fn slice(self, cursor: Option<&Cursor>) -> Result<Slice, Problem> {
        let after = cursor.map(Cursor::parse).transpose()?;
        Ok(Slice { after, most: self.and_one() })
    }
}

/// An opaque cursor, valid only for the list that issued it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(super) struct Cursor(String);

impl Cursor {
    /// Reads what the list has put into it.
    pub(super) fn parse<T: std::str::FromStr>(&self) -> Result<T, Problem> {
        let text = Some(self.0.as_str()).filter(|text| text.len() <= CURSOR_LONGEST);
        text.and_then(|text| text.parse().ok()).ok_or_else(bad_cursor)
    }

    /// The two parts of a cursor that has a dot between them.
    pub(super) fn parts(&self) -> Result<(&str, &str), Problem> {
        let text = Some(self.0.as_str()).filter(|text| text.len() <= CURSOR_LONGEST);
        text.and_then(|text| text.split_once('.')).ok_or_else(bad_cursor)
    }
}

fn bad_cursor() -> Problem {
    let sentence = "this is no cursor of this list; take `next` of the page before, or leave it out";
    Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", sentence).at("cursor")
}

/// A part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The things.
    items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page of a list that was asked for one thing more than the page holds; `place` gives the cursor after a thing.
    pub(super) fn of(mut found: Vec<T>, limit: Limit, place: impl Fn(&T) -> String) -> Self {
        let most = limit.0 as usize;
        let has_more = found.len() > most;
        found.truncate(most);
        let next = found.last().filter(|_| has_more).map(place);
        Self { items: found, next }
    }

    /// A page of a list that is whole and in memory, in the order of `key`.
    pub(super) fn of_whole<K: Ord + std::fmt::Display + std::str::FromStr>(
        mut all: Vec<T>,
        (limit, cursor): (Limit, Option<&Cursor>),
        key: impl Fn(&T) -> K,
    ) -> Result<Self, Problem> {
        let after: Option<K> = cursor.map(Cursor::parse).transpose()?;
        all.retain(|one| after.as_ref().is_none_or(|after| key(one) > *after));
        all.sort_by_key(&key);
        Ok(Self::of(all, limit, |one| key(one).to_string()))
    }

    /// The page with each thing shown in another way.
    pub(super) fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(show).collect(), next: self.next }
    }

    /// The things on it.
    pub(super) fn items(&self) -> &[T] {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_another_follows() {
        let (limit, place) = (Limit(2), |n: &i64| n.to_string());
        let page = Page::of(vec![1, 2, 3], limit, place);
        assert_eq!((page.items.as_slice(), page.next.as_deref()), (&[1, 2][..], Some("2")));
        assert_eq!(Page::of(vec![1, 2], limit, place).next, None);
        let cursor = Cursor("2".into());
        let page = Page::of_whole(vec![4, 1, 3, 2], (limit, Some(&cursor)), |n| *n).unwrap();
        assert_eq!((page.items.as_slice(), page.next), (&[3, 4][..], None));
    }

    #[test]
    fn limits_and_cursors_of_others_are_refused() {
        for limit in [0, LIMIT_MOST + 1] {
            assert!(Limit::try_from(limit).unwrap_err().contains("write 1 to 200"));
        }
        assert!(Limit::default().slice(Some(&Cursor("12x".into()))).is_err());
        assert!(Cursor("9".repeat(300)).parse::<String>().is_err());
    }
}
