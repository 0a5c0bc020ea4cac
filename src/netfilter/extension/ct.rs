//! `-j CT --helper`: lets conntrack's helper of a name look at a connection.

use super::{Extension, Target, Words};
use crate::name::ServiceName;

pub(super) const CT: Extension<Target> = Extension {
    name: "CT",
    kernel_option: Some("CONFIG_NETFILTER_XT_TARGET_CT"),
    read,
};

fn read(words: &mut Words<'_>) -> Option<Target> {
    let helper = ServiceName::try_from(words.option("--helper")?).ok()?;
    Some(Target::Helper(helper))
}
