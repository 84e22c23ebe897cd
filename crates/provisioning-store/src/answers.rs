//! Requests that are done once, however often they are sent: the answer to each is kept for a day under its own name.

/// Answers are kept this long, in days.
pub const KEPT_DAYS: i64 = 1;

/// A request's own name, chosen by whoever sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Whose names these are: two clients may choose the same one.
    pub owner: String,
    /// The name.
    pub key: String,
    /// A hash of the whole request: the same name for another request is a mistake.
    pub fingerprint: String,
}

/// What is known of a request that was done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The hash of that request.
    pub fingerprint: String,
    /// Status and body of its answer; nothing while it is being written, or when the program ended before it was.
    pub answer: Option<(u16, String)>,
}
