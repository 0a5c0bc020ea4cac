//! What is seen of a running box, read as values.

pub mod accounting;
