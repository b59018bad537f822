//! `passarela export`: what there is, as a file of rows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin::{brand_of, open, parse};
use super::import::format_of;
use super::{Failure, Output, private_file};
use crate::config::Config;
use crate::domain::ids::{JobId, OfferId};
use crate::domain::pass::PassStatus;
use crate::domain::rows::RowFormat;
use crate::http::coupon_batches::{coupons_page, coupons_table};
use crate::http::exports::{passes_page, passes_table, template_names};
use crate::service::coupon_batches::Of;
use crate::store::passes::Filter;

#[derive(Debug, Subcommand)]
pub enum Export {
    /// A brand's passes, in the shape that an import takes.
    Passes {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        /// csv or ndjson; by the file's name if absent, else csv.
        #[arg(long, value_parser = parse::<RowFormat>)]
        format: Option<RowFormat>,
        /// Only passes of this template: its name or id.
        #[arg(long)]
        template: Option<String>,
        /// active, voided or expired.
        #[arg(long, value_parser = parse::<PassStatus>)]
        status: Option<PassStatus>,
        /// Where to; the standard output if absent.
        #[arg(short, long, value_name = "OUT")]
        output: Option<PathBuf>,
    },
    /// Coupons with their codes: an offer's, or a batch's.
    Coupons {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        #[command(flatten)]
        which: Which,
        /// csv or ndjson; by the file's name if absent, else csv.
        #[arg(long, value_parser = parse::<RowFormat>)]
        format: Option<RowFormat>,
        /// Where to; the standard output if absent.
        #[arg(short, long, value_name = "OUT")]
        output: Option<PathBuf>,
    },
}

/// Coupons of one or the other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// All coupons of this offer …
    #[arg(long, value_parser = parse::<OfferId>)]
    offer: Option<OfferId>,
    /// … or those that this job made.
    #[arg(long, value_parser = parse::<JobId>)]
    batch: Option<JobId>,
}

impl Export {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        match self {
            Self::Passes { brand, format, template, status, output: out } => {
                passes(config, output, &brand, format, template, status, out).await
            }
            Self::Coupons { brand, which: Which { offer, batch }, format, output: out } => {
                let of = offer.map(Of::Offer).or(batch.map(Of::Batch));
                let of = of.ok_or_else(|| Failure::Usage("name --offer or --batch".to_owned()))?;
                coupons(config, output, &brand, of, format, out).await
            }
        }
    }
}

/// The format that was asked for, or that the file's name says.
fn format_for(format: Option<RowFormat>, out: Option<&Path>) -> Result<RowFormat, Failure> {
    match (format, out) {
        (Some(format), _) => Ok(format),
        (None, Some(path)) => format_of(path),
        (None, None) => Ok(RowFormat::Csv),
    }
}

fn open_out(out: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    Ok(match out {
        Some(path) => Box::new(private_file(path)?),
        None => Box::new(io::stdout()),
    })
}

async fn coupons(
    config: Config,
    output: Output,
    brand: &str,
    of: Of,
    format: Option<RowFormat>,
    out: Option<PathBuf>,
) -> Result<(), Failure> {
    let table = coupons_table(format_for(format, out.as_deref())?);
    let app = open(config).await?;
    let brand = brand_of(&app, brand).await?.id;
    let mut to = open_out(out.as_deref())?;
    let (mut after, mut count, mut is_read) = (None, 0, give(&mut to, &table.head())?);
    while is_read {
        let page = coupons_page(&app, brand, table, of, after).await?;
        let Some(next) = page.next else { break };
        is_read = give(&mut to, &page.rows)?;
        (after, count) = (next, count + page.count);
    }
    if let Some(path) = out {
        output.print(&json!({ "file": path, "coupons": count }), || format!("{}: {count} coupons", path.display()));
    }
    Ok(())
}

async fn passes(
    config: Config,
    output: Output,
    brand: &str,
    format: Option<RowFormat>,
    template: Option<String>,
    status: Option<PassStatus>,
    out: Option<PathBuf>,
) -> Result<(), Failure> {
    let format = format_for(format, out.as_deref())?;
    let app = open(config).await?;
    let brand = brand_of(&app, brand).await?.id;
    let (table, names) = (passes_table(format), template_names(&app, brand).await?);
    let template = template.map(|wanted| {
        let found = names.iter().find(|(id, name)| **name == wanted || id.to_string() == wanted);
        found.map(|(id, _)| *id).ok_or_else(|| Failure::No(format!("the brand has no template {wanted}")))
    });
    let filter = Filter { external_id: None, customer: None, template: template.transpose()?, status };
    let mut to = open_out(out.as_deref())?;
    let (mut after, mut count, mut is_read) = (None, 0, give(&mut to, &table.head())?);
    while is_read {
        let page = passes_page(&app, brand, table, &names, true, &filter, after).await?;
        if page.last.is_none() {
            break;
        }
        is_read = give(&mut to, &page.rows)?;
        (after, count) = (page.last, count + page.count);
    }
    if let Some(path) = out {
        output.print(&json!({ "file": path, "passes": count }), || format!("{}: {count} passes", path.display()));
    }
    Ok(())
}

/// `false`: whoever reads has seen enough, which is no failure of ours.
fn give(to: &mut dyn Write, bytes: &[u8]) -> Result<bool, Failure> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}
