//! Pictures and pages for people, as SVG and HTML. Pure: it draws what it is given.

mod matrix_svg;

pub use matrix_svg::matrix_svg;
