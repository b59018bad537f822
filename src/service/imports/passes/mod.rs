//! Lines of passes.

mod plan;
mod read;
mod write;

use std::collections::HashSet;

use crate::service::imports::{Forms, Names, Outcome, PassLine, refused};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::jobs::Defaults;

pub(super) use self::plan::Plan;
use self::plan::Planner;
pub(super) use self::write::write;

/// Plans as many of the lines as do not depend on one before them: their outcomes, in order, the plan, and what they are
/// about.
pub(super) async fn plan(
    app: &App,
    brand: &Brand,
    forms: Forms,
    defaults: &Defaults,
    lines: Vec<(i64, Result<PassLine, Problem>)>,
) -> Result<(Vec<Outcome>, Plan, Names), Problem> {
    let (mut asked, mut outcomes, mut names) = (Vec::new(), Vec::new(), Names::new());
    let mut designs = read::Designs::default();
    let mut reader = app.db.read().await?;
    for (number, line) in lines {
        let resolved = match line {
            Ok(line) => read::resolve(app, &mut reader.conn(), brand, defaults, &mut designs, number, line).await,
            Err(problem) => Err(problem),
        };
        match resolved {
            Ok(line) if line.names().any(|name| names.contains(&name)) => break,
            Ok(line) => {
                names.extend(line.names());
                asked.push(line);
            }
            Err(problem) => outcomes.push(refused(forms, number, problem)?),
        }
    }
    let stored = read::read_stored(app, &mut reader.conn(), brand, &asked).await?;
    drop(reader);
    names.extend(stored.known.keys().map(|id| id.uuid().as_bytes().to_vec()));
    let ready = read::read_versions(app, brand, &asked, &stored).await?;
    let mut planner = Planner {
        app: app.clone(),
        brand: brand.clone(),
        now: app.clock.now(),
        stored,
        ready,
        taken: HashSet::new(),
        plan: Plan::of(&asked),
    };
    // Rendering takes a core for some milliseconds.
    let job = tokio::task::spawn_blocking(move || {
        let mut planned = Vec::with_capacity(asked.len());
        for one in asked {
            let number = one.number;
            match planner.line(one).transpose() {
                Some(outcome) => planned.push((number, outcome)),
                // The customer of a line before, in another way: the rest waits until this much is done.
                None => return (planned, planner.plan, Some(number)),
            }
        }
        (planned, planner.plan, None)
    });
    let (planned, plan, cut) = job.await.map_err(Problem::internal)?;
    for (number, planned) in planned {
        outcomes.push(match planned {
            Ok((outcome, id)) => Outcome::of(number, outcome, id),
            Err(problem) => refused(forms, number, problem)?,
        });
    }
    outcomes.retain(|outcome| cut.is_none_or(|cut| outcome.line < cut));
    outcomes.sort_unstable_by_key(|outcome| outcome.line);
    Ok((outcomes, plan, names))
}
