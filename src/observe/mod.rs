//! What is observed on a running router, as typed values.

pub(crate) mod accounting;
pub(crate) mod attempt;
pub(crate) mod leased_host;
pub(crate) mod listed_hosts;
pub(crate) mod mail_queue;
pub(crate) mod openmetrics;
pub(crate) mod presence;
pub(crate) mod presence_of;
pub(crate) mod refusal_room;
pub(crate) mod refusals;
pub(crate) mod refusals_text;
pub(crate) mod refused_counts;
pub(crate) mod sightings;
pub(crate) mod wanted;
pub(crate) mod ways;
