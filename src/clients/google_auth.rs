//! Access tokens for Google's services, by service account. One refresh is under way at a time, whoever waits for it.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::sync::Mutex;
use yup_oauth2::authenticator::DefaultAuthenticator;
use yup_oauth2::{ServiceAccountAuthenticator, ServiceAccountKey};

use crate::clients::http::unanswered;
use crate::domain::delivery::{Answer, Outcome};
use crate::domain::secret::Secret;

/// How long asking for a token may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The tokens of one account for one scope.
pub struct Tokens {
    key: Secret<ServiceAccountKey>,
    scope: &'static str,
    authenticator: Mutex<Option<DefaultAuthenticator>>,
}

/// Why there is no token. Says nothing of the account's key.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    #[error("the service account's file cannot be used")]
    Account,
    #[error("no access token in time")]
    Timeout,
    #[error("no access token: {0}")]
    Refused(String),
}

impl Tokens {
    /// `file` is the account's JSON key; its `token_uri` is asked.
    pub fn new(file: &Secret<Vec<u8>>, scope: &'static str) -> Result<Self, NoToken> {
        let key = serde_json::from_slice(file.reveal()).map_err(|_| NoToken::Account)?;
        Ok(Self { key: Secret::new(key), scope, authenticator: Mutex::default() })
    }

    /// One call with an access token; with another one, if the first is not taken. `Err`: there was no answer.
    pub async fn send(&self, request: &(dyn Fn() -> RequestBuilder + Sync)) -> Result<Response, Answer> {
        let mut refused = None;
        loop {
            let token = match self.token(refused.as_ref()).await {
                Ok(token) => token,
                // The token service does not answer, or does not know us: not the fault of whom the call is about.
                Err(error) => return Err(Answer { outcome: Outcome::NotSent, text: error.to_string() }),
            };
            if refused.as_ref().is_some_and(|refused| refused.matches(token.reveal().as_bytes())) {
                let text = "401 the access token is refused".to_owned();
                return Err(Answer { outcome: Outcome::Hold, text });
            }
            let response = request().bearer_auth(token.reveal()).send().await.map_err(|error| unanswered(&error))?;
            if response.status() != StatusCode::UNAUTHORIZED || refused.is_some() {
                return Ok(response);
            }
            refused = Some(token);
        }
    }

    /// The token in use. `refused`: one that was not taken; if it is still in use, another is asked for.
    async fn token(&self, refused: Option<&Secret<String>>) -> Result<Secret<String>, NoToken> {
        tokio::time::timeout(TIMEOUT, self.ask(refused)).await.map_err(|_| NoToken::Timeout)?
    }

    async fn ask(&self, refused: Option<&Secret<String>>) -> Result<Secret<String>, NoToken> {
        let failed = |error: &dyn std::fmt::Display| NoToken::Refused(error.to_string().chars().take(200).collect());
        let mut place = self.authenticator.lock().await;
        let authenticator = match &mut *place {
            Some(known) => known,
            empty => {
                let made = ServiceAccountAuthenticator::builder(self.key.reveal().clone()).build().await;
                empty.insert(made.map_err(|error| failed(&error))?)
            }
        };
        let token = |found: yup_oauth2::AccessToken| {
            found.token().map(|token| Secret::new(token.to_owned())).ok_or(NoToken::Account)
        };
        let current = token(authenticator.token(&[self.scope]).await.map_err(|error| failed(&error))?)?;
        if refused.is_none_or(|refused| refused.reveal() != current.reveal()) {
            return Ok(current);
        }
        token(authenticator.force_refreshed_token(&[self.scope]).await.map_err(|error| failed(&error))?)
    }
}
