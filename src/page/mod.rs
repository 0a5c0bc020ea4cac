//! Pictures and pages for people, as SVG and HTML. Pure: it draws what it is given.

mod chart;
mod matrix_svg;
mod report;
mod report_hosts;
mod style;
#[cfg(test)]
mod tests;
mod when;

pub use matrix_svg::matrix_svg;
pub(crate) use report::{PageFacts, report};
