//! `-m comment`

use super::words::quoted;
use super::{Extension, Match, Words};
use crate::name::Comment;

pub(super) const COMMENT: Extension<Match> = Extension {
    name: "comment",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_COMMENT"),
    read,
};

pub(super) fn print(comment: &Comment) -> String {
    format!(" --comment {}", quoted(comment.as_str()))
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    let comment = Comment::try_from(words.option("--comment")?).ok()?;
    Some(Match::Comment(comment))
}
