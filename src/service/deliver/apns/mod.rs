//! Phones and watches: who is pushed to, once for each push token.

pub mod registrations;
mod tokens;
mod topics;

use std::collections::HashMap;

use crate::clients::apns::Push;
use crate::domain::delivery::{Answer, Outcome, is_apple_push_token};
use crate::domain::ids::{BrandId, DeviceId};
use crate::domain::secret::Secret;
use crate::service::deliver::calls::{About, Calls, Told};
use crate::service::{App, Problem};
use crate::store::outbox::Claim;
use crate::store::pushes;
pub use crate::store::pushes::Target;

use self::tokens::{Tokens, provider_token};
use self::topics::Topics;
pub use self::topics::{Topic, admit, is_open, is_open_for, state, why_closed};

/// The scheme word of phones that Apple pushes to.
const APPLE: &str = "ApplePass";

/// The ways to Apple that this process has.
#[derive(Default)]
pub struct Pushes {
    topics: Topics,
    tokens: Tokens,
}

/// A pass type and a push token.
type Phone = (String, String);

/// Starts a call for every push token among the claims.
pub async fn tell(app: &App, brand: BrandId, claims: Vec<Claim>, calls: &mut Calls) -> Result<(), Problem> {
    let devices: Vec<DeviceId> = claims.iter().map(|claim| DeviceId::new(claim.destination)).collect();
    let targets = pushes::load_targets(&mut app.db.read().await?.conn(), brand, &devices).await?;
    let mut targets: HashMap<DeviceId, Target> = targets.into_iter().map(|target| (target.device, target)).collect();
    // A phone that was restored has its token under two device ids: it is told once.
    // In no order: whoever is asked first after a rest is not chosen by his token.
    let mut phones: HashMap<Phone, Vec<(Claim, Target)>> = HashMap::new();
    for claim in claims {
        let Some(target) = targets.remove(&DeviceId::new(claim.destination)) else {
            calls.skip(claim, About::Nobody, Outcome::Obsolete, "not registered any more");
            continue;
        };
        let unreachable = match &target {
            target if target.scheme != APPLE => Some("another vendor's wallet, which comes by itself"),
            target if !is_apple_push_token(target.push_token.reveal()) => Some("no push token of Apple's"),
            _ => None,
        };
        if let Some(why) = unreachable {
            calls.skip(claim, About::Device(target), Outcome::Obsolete, why);
            continue;
        }
        let phone = (target.pass_type.clone(), target.push_token.reveal().clone());
        phones.entry(phone).or_default().push((claim, target));
    }
    for ((pass_type, token), group) in phones {
        match admit(app, &pass_type) {
            Ok(topic) => {
                let (app, token) = (app.clone(), Secret::new(token));
                calls.start(group.len(), async move {
                    let answer = push(&app, &topic, &token, Push::Fetch).await;
                    topic.gate.heed(&answer, app.clock.now());
                    let told = |(claim, target)| Told {
                        claim,
                        answer: answer.clone(),
                        not_before: None,
                        about: About::Device(target),
                    };
                    group.into_iter().map(told).collect()
                });
            }
            Err(barred) => {
                for (claim, target) in group {
                    calls.bar(claim, About::Device(target), barred.clone());
                }
            }
        }
    }
    Ok(())
}

/// One push; with another provider token, if the first was refused and another may be made.
pub async fn push(app: &App, topic: &Topic, push_token: &Secret<String>, what: Push<'_>) -> Answer {
    let now = app.clock.now();
    let Some(key) = &topic.key else { return topic.client.push(push_token, &topic.name, None, what, now).await };
    let unsent = |problem: Problem| Answer { outcome: Outcome::NotSent, text: problem.to_string() };
    let (issued_at, token) = match provider_token(app, key, tokens::FRESH).await {
        Ok(issued) => issued,
        Err(problem) => return unsent(problem),
    };
    let answer = topic.client.push(push_token, &topic.name, Some(&token), what, now).await;
    if answer.outcome != Outcome::TokenRefused {
        return answer;
    }
    match provider_token(app, key, tokens::AGE_MIN).await {
        Ok((again_at, _)) if again_at == issued_at => answer,
        Ok((_, token)) => topic.client.push(push_token, &topic.name, Some(&token), what, now).await,
        Err(problem) => unsent(problem),
    }
}
