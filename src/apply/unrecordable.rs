//! Whether this kernel was found to be unable to pass refused packets to a program.
//!
//! Owns the file. It is in /run: the next boot may be of another kernel.

use crate::error::with_causes;
use crate::host::store::{self, StorePlace};

const NAME: &str = "unrecordable";

/// Whether it was found out since the kernel started.
pub(super) fn is_known() -> bool {
    matches!(store::read(StorePlace::Run, NAME), Ok(Some(_)))
}

/// Says once that nothing can be recorded, and remembers it.
pub(super) fn remember() {
    if is_known() {
        return;
    }
    log::warn!(
        "this kernel has no NFLOG (CONFIG_NETFILTER_XT_TARGET_NFLOG), so what is refused is not recorded, only counted, and logged by the kernel at the rate of [log]"
    );
    if let Err(error) = store::write(StorePlace::Run, NAME, "NFLOG\n") {
        log::warn!("{}", with_causes(&error));
    }
}
