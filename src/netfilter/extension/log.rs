//! `-j LOG`: writes a line to the kernel log.

use super::words::quoted;
use super::{Extension, Target, Words};
use crate::name::LogPrefix;

pub(super) const LOG: Extension<Target> = Extension {
    name: "LOG",
    kernel_option: Some("CONFIG_NETFILTER_XT_TARGET_LOG"),
    read,
};

pub(super) fn print(prefix: &LogPrefix) -> String {
    format!(
        " --log-prefix {} --log-tcp-options --log-ip-options",
        quoted(prefix.as_str())
    )
}

fn read(words: &mut Words<'_>) -> Option<Target> {
    let prefix = LogPrefix::try_from(words.option("--log-prefix")?).ok()?;
    words.next_if_eq("--log-tcp-options")?;
    words.next_if_eq("--log-ip-options")?;
    Some(Target::Log(prefix))
}
