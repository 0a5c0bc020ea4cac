//! Manufacturer Usage Descriptions (RFC 8520): what a device's maker says that it talks to.
//!
//! ```text
//! JSON --access_list--> entries --flow--> flows, or why not --lines--> a drop-in
//! ```

mod access_list;
mod flow;
mod lines;
mod port;

pub use access_list::MudError;

use access_list::Description;
use flow::DescribedFlows;

/// The names that the configuration has for what the file can only describe.
#[derive(Debug)]
pub struct NamesHere {
    /// The camera that the file is about.
    pub camera: String,
    /// The zone of the internet.
    pub external: String,
    /// The zone that `local-networks` are, if they are to be any.
    pub local: Option<String>,
}

/// What became of a file.
#[derive(Debug)]
pub struct Imported {
    /// The drop-in: TOML, with what was left out in comments.
    pub text: String,
    /// How many entries came over.
    pub carried: usize,
    /// How many did not, each with a comment of its own in `text`.
    pub left_out: usize,
}

/// Makes a drop-in of a MUD file's text.
///
/// # Errors
/// Returns what makes it no MUD file. An entry that cannot be said in a configuration is no error: it is
/// left out, and counted.
pub fn import(text: &str, names: &NamesHere) -> Result<Imported, MudError> {
    let description = Description::parse(text)?;
    let flows = DescribedFlows::of(&description, names);
    Ok(lines::drop_in(&description, &flows, names))
}
