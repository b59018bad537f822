//! Service accounts of Google's: read from files that nobody else may read, for Wallet and for Firebase.

use std::path::Path;

use crate::config::Config;
use crate::secret_file;
use crate::wallet::google::account::Account;

pub fn read(file: &Path) -> Result<Account, String> {
    let bytes = secret_file::read(file).map_err(|error| error.to_string())?;
    Account::read(&bytes).map_err(|error| format!("{} {error}", file.display()))
}

/// Whether a service of Google's is on, and why it is off, for the operator. `section`: where it is set up; `key`: what
/// turns it on; of a brand's code `is_on` tells whether it is, and `file` where the account is.
pub fn state<'a>(
    config: &'a Config,
    section: &str,
    key: &str,
    is_on: fn(&'a Config, &str) -> Option<&'a str>,
    file: fn(&'a Config, &str) -> Option<&'a Path>,
) -> String {
    let codes = config.brands.keys().map(String::as_str).chain([""]);
    let codes: Vec<&str> = codes.filter(|code| is_on(config, code).is_some()).collect();
    if codes.is_empty() {
        return format!("off: {section}.{key} is not set");
    }
    let faults = codes.into_iter().filter_map(|code| {
        let place = if code.is_empty() { section.to_owned() } else { format!("brands.{code}.{section}") };
        let read = file(config, code).ok_or_else(|| "is not set".to_owned()).and_then(read);
        read.err().map(|why| format!("{place}.service_account_file {why}"))
    });
    let faults = faults.collect::<Vec<_>>().join("; ");
    if faults.is_empty() { "on".to_owned() } else { format!("off: {faults}") }
}
