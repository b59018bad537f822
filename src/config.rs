//! Settings: the embedded defaults, then the file, then `PASSARELA_<SECTION>__<KEY>` variables. Checked before anything
//! starts; an unknown key is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::Deserialize;

/// Every default, and the documentation of every key.
pub const DEFAULTS: &str = include_str!("config.default.toml");

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub database: Database,
    pub secrets: Secrets,
    pub apple: Apple,
    pub google: Google,
    pub fcm: Fcm,
    pub mqtt: Mqtt,
    pub passes: Passes,
    pub imports: Imports,
    pub pages: Pages,
    pub delivery: Delivery,
    pub log: Log,
    #[serde(default)]
    pub brands: BTreeMap<String, Brand>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: String,
    pub public_url: String,
    pub tls_cert_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
    pub trusted_proxies: Vec<std::net::IpAddr>,
    pub http_workers: usize,
    pub head_timeout_secs: u64,
    pub body_timeout_secs: u64,
    pub send_timeout_secs: u64,
    pub connections_max: usize,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// May hold a password.
    pub url: String,
    pub connections: u32,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("connections", &self.connections).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub master_key_file: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apple {
    pub certs_dir: PathBuf,
    pub web_service_url: Option<String>,
    pub apns_url: String,
    pub apns_ca_file: Option<PathBuf>,
    pub app_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Google {
    #[serde(default, deserialize_with = "digits")]
    pub issuer_id: Option<String>,
    pub service_account_file: Option<PathBuf>,
    pub wallet_url: String,
    pub callback_keys_url: String,
    pub save_url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fcm {
    #[serde(default, deserialize_with = "digits")]
    pub project_id: Option<String>,
    pub service_account_file: Option<PathBuf>,
    pub url: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// May hold a password.
    pub url: Option<String>,
    pub share_group: String,
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for Mqtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mqtt").field("share_group", &self.share_group).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    pub badges_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passes {
    pub signing_queue_max: usize,
    pub bundle_cache_mib: u64,
    pub verify_every: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imports {
    pub spool_dir: PathBuf,
    pub file_max_mib: u64,
    pub waiting_max_mib: u64,
    pub idle_timeout_secs: u64,
    pub keep_days: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    pub coalesce_millis: u64,
    pub lease_secs: u64,
    pub sweep_secs: u64,
    pub registration_delay_secs: u64,
    pub apns: Retries,
    pub google: Retries,
    pub fcm: Retries,
    pub webhook: Retries,
}

impl Delivery {
    /// How long all calls for one destination may take together, with the time that they wait for their turn: within a
    /// lease, so that whoever takes over after it does not meet one that is still under way.
    pub fn turn_timeout(&self) -> Duration {
        Duration::from_millis(self.lease_secs.saturating_mul(800))
    }

    /// How long one call to Apple or Google may take.
    pub fn call_timeout(&self) -> Duration {
        Duration::from_secs(15.min((self.lease_secs / 2).max(1)))
    }
}

/// When a delivery that failed for the moment is tried again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// The waits between attempts.
    pub retry_schedule_secs: Vec<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// A brand's own accounts, by its code.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brand {
    pub apple: BrandApple,
    pub google: BrandGoogle,
    pub fcm: BrandFcm,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrandApple {
    pub app_id: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrandGoogle {
    #[serde(deserialize_with = "digits")]
    pub issuer_id: Option<String>,
    pub service_account_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrandFcm {
    #[serde(deserialize_with = "digits")]
    pub project_id: Option<String>,
    pub service_account_file: Option<PathBuf>,
}

/// Digits that a variable without quotes makes a number of.
fn digits<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Digits {
        Text(String),
        Number(u64),
    }
    let digits = Option::<Digits>::deserialize(deserializer)?;
    Ok(digits.map(|digits| match digits {
        Digits::Text(text) => text,
        Digits::Number(number) => number.to_string(),
    }))
}

#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    #[error("{0}")]
    Unreadable(Box<figment::Error>),
    #[error("{key}: {reason}")]
    Value { key: &'static str, reason: String },
}

impl Config {
    /// Reads `file`, or `passarela.toml` where there is one, over the defaults, and the environment over both.
    pub fn load(file: Option<&Path>) -> Result<Self, BadConfig> {
        let mut layers = Figment::from(Toml::string(DEFAULTS));
        layers = match file {
            Some(file) => layers.merge(Toml::file_exact(file)),
            None => layers.merge(Toml::file("passarela.toml")),
        };
        let config: Self = layers
            .merge(Env::prefixed("PASSARELA_").ignore(&["config"]).split("__"))
            .extract()
            .map_err(|error| BadConfig::Unreadable(Box::new(error)))?;
        config.check()?;
        Ok(config)
    }

    /// The settings of somebody who set nothing.
    pub fn defaults() -> Self {
        Figment::from(Toml::string(DEFAULTS)).extract().expect("a test reads the defaults")
    }

    /// Refuses values that would only fail later, or fail silently.
    pub fn check(&self) -> Result<(), BadConfig> {
        base_url("server.public_url", &self.server.public_url)?;
        let port = self.server.listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            return value("server.listen", "must be ADDRESS:PORT, such as 127.0.0.1:8080");
        }
        if let Some(url) = &self.apple.web_service_url {
            let good = (url.starts_with("https://") || url.starts_with("http://")) && !url.ends_with('/');
            if !good {
                return value("apple.web_service_url", "must be an http or https URL without a slash at its end");
            }
        }
        if self.server.tls_cert_file.is_some() != self.server.tls_key_file.is_some() {
            return value("server.tls_cert_file", "and server.tls_key_file go together");
        }
        let schemes = ["sqlite://", "postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| self.database.url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
            return value("database.url", "must be sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME");
        }
        if !(1..=1_000).contains(&self.database.connections) {
            return value("database.connections", "must be 1 to 1000");
        }
        if self.delivery.coalesce_millis < 100 || self.delivery.lease_secs < 5 || self.delivery.sweep_secs < 1 {
            return value("delivery", "coalesce_millis is at least 100, lease_secs at least 5, sweep_secs at least 1");
        }
        base_url("apple.apns_url", &self.apple.apns_url)?;
        base_url("google.wallet_url", &self.google.wallet_url)?;
        base_url("fcm.url", &self.fcm.url)?;
        for (key, url) in
            [("google.save_url", &self.google.save_url), ("google.callback_keys_url", &self.google.callback_keys_url)]
        {
            if !(url.starts_with("https://") || url.starts_with("http://")) || url.ends_with('/') {
                return value(key, "must be an http or https URL without a slash at its end");
            }
        }
        if self.mqtt.url.as_ref().is_some_and(|url| !url.starts_with("mqtts://") && !url.starts_with("mqtt://")) {
            return value("mqtt.url", "must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]");
        }
        for (key, retries) in [
            ("delivery.apns.retry_schedule_secs", &self.delivery.apns),
            ("delivery.google.retry_schedule_secs", &self.delivery.google),
            ("delivery.fcm.retry_schedule_secs", &self.delivery.fcm),
            ("delivery.webhook.retry_schedule_secs", &self.delivery.webhook),
        ] {
            let waits = &retries.retry_schedule_secs;
            if waits.is_empty() || waits.len() > 20 || waits.iter().any(|wait| !(1..=604_800).contains(wait)) {
                return value(key, "must be 1 to 20 waits of a second to a week");
            }
        }
        let issuers = self.brands.values().map(|brand| &brand.google.issuer_id).chain([&self.google.issuer_id]);
        for issuer in issuers.flatten() {
            if issuer.is_empty() || issuer.len() > 20 || !issuer.bytes().all(|byte| byte.is_ascii_digit()) {
                return value("google.issuer_id", "must be the digits that Google's console shows");
            }
        }
        let is_name = |text: &str, marks: &[u8]| {
            let is_known = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
            (1..=128).contains(&text.len()) && text.bytes().all(is_known)
        };
        let projects = self.brands.values().map(|brand| &brand.fcm.project_id).chain([&self.fcm.project_id]);
        if projects.flatten().any(|project| !is_name(project, b"-:.")) {
            return value("fcm.project_id", "must be the project's id as Firebase's console shows it");
        }
        let apps = self.brands.values().map(|brand| &brand.apple.app_id).chain([&self.apple.app_id]);
        if apps.flatten().any(|app| !is_name(app, b"-.") || app.starts_with("pass.")) {
            return value("apple.app_id", "must be the bundle id of an app");
        }
        Ok(())
    }

    /// Where phones find the web service of a brand: burned into its passes.
    pub fn web_service_url(&self, brand_code: &str) -> String {
        match &self.apple.web_service_url {
            Some(url) => format!("{url}/{brand_code}"),
            None => format!("{}/apple/{brand_code}", self.server.public_url),
        }
    }

    /// Files and folders that settings name: the setting, and where it leads. Those of Apple and the master key are read
    /// at the start.
    pub fn named_files(&self) -> Vec<(String, &Path)> {
        let named = [
            ("server.tls_cert_file", &self.server.tls_cert_file),
            ("server.tls_key_file", &self.server.tls_key_file),
            ("apple.apns_ca_file", &self.apple.apns_ca_file),
            ("google.service_account_file", &self.google.service_account_file),
            ("fcm.service_account_file", &self.fcm.service_account_file),
            ("mqtt.ca_file", &self.mqtt.ca_file),
            ("pages.badges_dir", &self.pages.badges_dir),
        ];
        let own = self.brands.iter().flat_map(|(code, brand)| {
            [("google", &brand.google.service_account_file), ("fcm", &brand.fcm.service_account_file)]
                .map(|(channel, file)| (format!("brands.{code}.{channel}.service_account_file"), file))
        });
        let all = named.into_iter().map(|(key, file)| (key.to_owned(), file)).chain(own);
        all.filter_map(|(key, file)| file.as_deref().map(|file| (key, file))).collect()
    }

    /// Each channel that settings alone switch on, and why it is off.
    pub fn channels(&self) -> [(&'static str, &'static str); 1] {
        let mqtt = match self.mqtt.url {
            None => "off: mqtt.url is not set",
            Some(_) => "off: this version does not listen to gateways yet",
        };
        [("mqtt", mqtt)]
    }

    /// The id of the brand's own iOS app, or the installation's; `None`: there is none that Apple is to tell.
    pub fn app_id(&self, brand_code: &str) -> Option<&str> {
        let own = self.brands.get(brand_code).and_then(|brand| brand.apple.app_id.as_deref());
        own.or(self.apple.app_id.as_deref())
    }

    /// The Firebase project of the brand's own app, or the installation's; `None`: Firebase is off.
    pub fn fcm_project(&self, brand_code: &str) -> Option<&str> {
        let own = self.brands.get(brand_code).and_then(|brand| brand.fcm.project_id.as_deref());
        own.or(self.fcm.project_id.as_deref())
    }

    /// The service account that speaks for the brand's Firebase project.
    pub fn fcm_account_file(&self, brand_code: &str) -> Option<&Path> {
        let own = self.brands.get(brand_code).and_then(|brand| brand.fcm.service_account_file.as_deref());
        own.or(self.fcm.service_account_file.as_deref())
    }

    /// Whether the brand has an app that is told.
    pub fn has_app(&self, brand_code: &str) -> bool {
        self.app_id(brand_code).is_some() || self.fcm_project(brand_code).is_some()
    }

    /// The service account that speaks for the brand's Google issuer.
    pub fn google_account_file(&self, brand_code: &str) -> Option<&Path> {
        let own = self.brands.get(brand_code).and_then(|brand| brand.google.service_account_file.as_deref());
        own.or(self.google.service_account_file.as_deref())
    }

    /// The brand's own Google issuer, or the installation's; `None`: Google is off.
    pub fn google_issuer(&self, brand_code: &str) -> Option<&str> {
        let own = self.brands.get(brand_code).and_then(|brand| brand.google.issuer_id.as_deref());
        own.or(self.google.issuer_id.as_deref())
    }
}

fn value(key: &'static str, reason: &str) -> Result<(), BadConfig> {
    Err(BadConfig::Value { key, reason: reason.to_owned() })
}

/// Scheme, host and port: paths are ours to add.
fn base_url(key: &'static str, url: &str) -> Result<(), BadConfig> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => Ok(()),
        _ => value(key, "must be scheme, host and port only, such as https://passes.example.com"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_good() {
        Config::defaults().check().unwrap();
    }

    #[test]
    fn a_base_url_has_no_path() {
        for good in ["https://passes.example.com", "http://127.0.0.1:8080", "https://[::1]:8443"] {
            assert!(base_url("server.public_url", good).is_ok(), "{good}");
        }
        for wrong in ["passes.example.com", "https://", "https://a/", "https://a/b", "https://u@a", "ftp://a"] {
            assert!(base_url("server.public_url", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_issuer_may_be_written_without_quotes() {
        for text in ["3388000000000000001", "\"3388000000000000001\""] {
            let text = format!("[google]\nissuer_id = {text}");
            let config: Config = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(&text)).extract().unwrap();
            assert_eq!(config.google_issuer("any"), Some("3388000000000000001"));
        }
    }

    #[test]
    fn a_database_is_one_of_the_two() {
        let mut config = Config::defaults();
        for (url, is_good) in [
            ("sqlite://data/x.db", true),
            ("postgres://u@h/n", true),
            ("postgresql://h/n", true),
            ("mysql://x", false),
            ("sqlite:x.db", false),
            ("sqlite://", false),
            ("", false),
        ] {
            config.database.url = url.to_owned();
            assert_eq!(config.check().is_ok(), is_good, "{url}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let layers = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string("[server]\nlisten_on = \"x\""));
        let error = layers.extract::<Config>().unwrap_err();
        assert!(error.to_string().contains("listen_on"), "{error}");
    }
}
