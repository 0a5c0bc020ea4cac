//! Resolves the kernel settings that override camfw's own values.

use std::collections::BTreeMap;

use crate::config::{self, Config};
use crate::source::{Refusal, Refused, Source};

/// The overrides in the file; only settings that camfw sets can be overridden.
pub fn sysctls(
    config: &Config,
    known: &[String],
    source: &Source,
) -> Result<BTreeMap<String, String>, Refusal> {
    let all = Refused::each(&config.sysctls, |(key, value)| {
        let config::Scalar(text) = value.get_ref();
        if !known.contains(key.get_ref()) {
            return Err(source.refuse(
                    key.span(),
                    format_args!("camfw does not set {:?}; `camfw show sysctls` lists what it sets, put others into sysctl.conf", key.get_ref()),
                ));
        }
        // Each of these settings takes a single number.
        match text.parse::<i32>() {
            Ok(number) => Ok((key.get_ref().clone(), number.to_string())),
            Err(_) => Err(source.refuse(
                value.span(),
                format_args!("{text:?} is not a number; give one"),
            )),
        }
    })?;
    Ok(all.into_iter().collect())
}
