//! `camfw report`: a page of everything that an owner looks at.

use std::path::Path;

use super::{CliError, Command, ExitCode, Flag, Given, UsageError, print};
use crate::apply;
use crate::host::page_file;
use crate::host::text_file::STDIN;

const HTML: Flag = Flag::valued("html", "FILE", "where the page is written; - is stdout");

pub(super) const COMMAND: Command = Command::new(
    "report",
    "a page of the box: state, network, cameras, what was refused, what is proven",
    run,
)
.about(
    "One file of HTML, without scripts and without anything from elsewhere, of 1 MB at
most. A new file is readable by its owner alone; one that is there keeps its owner
and mode.",
)
.flags(&[HTML]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let Some(file) = given.file(&HTML) else {
        let why = "write it as: camfw report --html FILE";
        return Err(UsageError::Together(why).into());
    };
    let page = apply::report(&given.config())?;
    if file == STDIN {
        return Ok(print(&page));
    }
    page_file::write(Path::new(&file), &page)?;
    Ok(ExitCode::Done)
}
