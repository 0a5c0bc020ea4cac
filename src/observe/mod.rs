//! What is observed on a running router, as typed values.

pub(crate) mod accounting;
pub(crate) mod attempt;
pub(crate) mod refusals;
pub(crate) mod refusals_text;
pub(crate) mod wanted;
