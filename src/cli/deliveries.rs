//! `passarela deliveries`: what is to be told to whom, and what came of it.

use clap::Subcommand;
use serde_json::json;

use super::admin::{brand_of, open, parse};
use super::{Failure, Output};
use crate::config::Config;
use crate::domain::delivery::{Channel, DeliveryState, Destination};
use crate::service::deliveries;
use crate::store::outbox::Delivery;

#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// List what is to be told, and what came of it.
    List {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        #[arg(long, default_value = "apns", value_parser = parse::<Channel>)]
        channel: Channel,
        /// pending, sending, done or parked.
        #[arg(long, value_parser = parse::<DeliveryState>)]
        state: Option<DeliveryState>,
        /// Rows at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Try one again now, or all that were given up.
    Retry {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        /// The destination, such as dev_…
        #[arg(value_parser = parse::<Destination>, required_unless_present = "parked", conflicts_with = "parked")]
        destination: Option<Destination>,
        /// All that were given up.
        #[arg(long)]
        parked: bool,
        /// Of this channel.
        #[arg(long, default_value = "apns", value_parser = parse::<Channel>)]
        channel: Channel,
    },
}

impl Deliveries {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let app = open(config).await?;
        match self {
            Self::List { brand, channel, state, limit } => {
                let brand = brand_of(&app, &brand).await?.id;
                let rows = deliveries::list(&app, brand, channel, state, None, limit).await?;
                let text = || {
                    if rows.is_empty() {
                        "none".to_owned()
                    } else {
                        rows.iter().map(line).collect::<Vec<_>>().join("\n")
                    }
                };
                output.print(&json!({ "deliveries": rows.iter().map(object).collect::<Vec<_>>() }), text);
            }
            Self::Retry { brand, destination, channel, .. } => {
                let brand = brand_of(&app, &brand).await?.id;
                let count = match destination {
                    None => deliveries::retry_parked(&app, brand, channel).await?,
                    Some(destination) => {
                        let row = deliveries::retry(&app, brand, destination).await?;
                        u64::from(row.state == DeliveryState::Pending)
                    }
                };
                output.print(&json!({ "due": count }), || format!("{count} to be told again now"));
            }
        }
        Ok(())
    }
}

fn line(row: &Delivery) -> String {
    let destination = Destination::new(row.channel, row.destination);
    let answer = row.answer.as_deref().unwrap_or("not tried yet");
    let due = match row.state {
        DeliveryState::Pending => format!("  due {}", row.due_at.format("%F %T")),
        DeliveryState::Sending | DeliveryState::Done | DeliveryState::Parked => String::new(),
    };
    format!("{destination}  {}  {}  {answer}{due}", row.state, row.lane)
}

fn object(row: &Delivery) -> serde_json::Value {
    json!({ "id": Destination::new(row.channel, row.destination).to_string(), "channel": row.channel, "state": row.state,
        "lane": row.lane, "due_at": row.due_at, "failures": row.failures, "changed_at": row.changed_at,
        "tried_at": row.tried_at, "told_at": row.told_at, "answer": row.answer })
}
