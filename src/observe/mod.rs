//! What is observed on a running router, as typed values.

pub(crate) mod accounting;
