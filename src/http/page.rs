//! Pages of lists: `?limit=&after=`, and `?changed_since=` for those who follow along.

use serde::{Deserialize, Serialize};

use crate::service::Problem;

/// Items of a page at most.
const LIMIT_MAX: i64 = 200;
const LIMIT_DEFAULT: i64 = 50;

/// A list's page.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// Where to go on: `after` for the next page, absent after a page that is not full; or `changed_since`, always
    /// there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The common part of list queries.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Items of a page: 1 to 200, 50 if absent.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// The page size that was asked for.
pub fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid("", format!("limit must be 1 to {LIMIT_MAX}"))),
    }
}

/// The id after which the page begins.
pub fn after<T: std::str::FromStr>(asked: Option<&str>) -> Result<Option<T>, Problem> {
    let parsed = asked.map(str::parse).transpose();
    parsed.map_err(|_| Problem::invalid("", "after must be the `next` of the page before"))
}

impl<T> Page<T> {
    /// A page of up to `limit` items; a full one has a next.
    pub fn new(data: Vec<T>, limit: i64, id: impl Fn(&T) -> String) -> Self {
        let is_full = i64::try_from(data.len()).is_ok_and(|count| count >= limit);
        let next = data.last().filter(|_| is_full).map(id);
        Self { data, next }
    }
}
