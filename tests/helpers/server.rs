//! The real program in a process of its own, to be killed.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use passarela::config::Config;

/// One server process, and how to start it again.
pub struct Server {
    pub url: String,
    environment: Vec<(String, String)>,
    child: Mutex<Option<Child>>,
}

impl Server {
    pub fn new(config: &Config, public_url: &str, address: &str) -> Self {
        let file = |path: &std::path::Path| path.display().to_string();
        let environment = [
            ("DATABASE__URL", config.database.url.clone()),
            ("DATABASE__CONNECTIONS", "12".to_owned()),
            ("SECRETS__MASTER_KEY_FILE", file(&config.secrets.master_key_file)),
            ("APPLE__CERTS_DIR", file(&config.apple.certs_dir)),
            ("IMPORTS__SPOOL_DIR", file(&config.imports.spool_dir)),
            ("APPLE__APNS_URL", config.apple.apns_url.clone()),
            ("DELIVERY__APNS__RETRY_SCHEDULE_SECS", format!("{:?}", config.delivery.apns.retry_schedule_secs)),
            ("SERVER__LISTEN", address.to_owned()),
            ("SERVER__PUBLIC_URL", public_url.to_owned()),
            ("SERVER__HTTP_WORKERS", "1".to_owned()),
            ("DELIVERY__COALESCE_MILLIS", "200".to_owned()),
            ("DELIVERY__LEASE_SECS", "5".to_owned()),
            ("DELIVERY__SWEEP_SECS", "1".to_owned()),
            ("LOG__FILTER", "error".to_owned()),
        ];
        let mut environment = environment.map(|(key, value)| (format!("PASSARELA_{key}"), value)).to_vec();
        if let (Some(issuer), Some(account)) = (&config.google.issuer_id, &config.google.service_account_file) {
            let google = [
                ("GOOGLE__ISSUER_ID", issuer.clone()),
                ("GOOGLE__SERVICE_ACCOUNT_FILE", file(account)),
                ("GOOGLE__WALLET_URL", config.google.wallet_url.clone()),
                ("DELIVERY__GOOGLE__RETRY_SCHEDULE_SECS", format!("{:?}", config.delivery.google.retry_schedule_secs)),
            ];
            environment.extend(google.map(|(key, value)| (format!("PASSARELA_{key}"), value)));
        }
        if let (Some(project), Some(account)) = (&config.fcm.project_id, &config.fcm.service_account_file) {
            let firebase = [
                ("FCM__PROJECT_ID", project.clone()),
                ("FCM__SERVICE_ACCOUNT_FILE", file(account)),
                ("FCM__URL", config.fcm.url.clone()),
                ("DELIVERY__FCM__RETRY_SCHEDULE_SECS", format!("{:?}", config.delivery.fcm.retry_schedule_secs)),
            ];
            environment.extend(firebase.map(|(key, value)| (format!("PASSARELA_{key}"), value)));
        }
        if let Some(root) = &config.apple.apns_ca_file {
            environment.push(("PASSARELA_APPLE__APNS_CA_FILE".to_owned(), file(root)));
        }
        let server = Self { url: format!("http://{address}"), environment, child: Mutex::new(None) };
        server.start();
        server
    }

    pub fn start(&self) {
        let child = Command::new(env!("CARGO_BIN_EXE_passarela"))
            .arg("serve")
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        *self.child.lock().unwrap() = Some(child);
    }

    /// SIGKILL: nothing is flushed, nobody says goodbye.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
