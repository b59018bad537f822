//! Several redeemables in one basket: which go together, what each takes off, and which choice takes off most.

use iso_currency::Currency;

use super::earning::Line;
use super::offer::{Applied, OfferRules, Stacking};
use super::refusal::RefusalCode;

/// Redeemables of one request at most, and of those that apply.
pub const REQUESTED_MAX: usize = 30;
pub const APPLIED_MAX: usize = 5;

/// Up to so many every choice, in every order, is looked at; beyond that the one that takes off most is added again and again.
pub const EXACT_MAX: usize = 8;

/// What was done with each redeemable, in the order that they were applied in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Combination {
    /// Which, and what it took off.
    pub applied: Vec<(usize, Applied)>,
    /// Which not, and why.
    pub skipped: Vec<(usize, RefusalCode)>,
}

impl Combination {
    /// Minor units taken off altogether.
    pub fn minor(&self) -> i64 {
        self.applied.iter().map(|(_, applied)| applied.minor()).sum()
    }

    /// Minor units taken off each line.
    pub fn by_line(&self, lines: usize) -> Vec<i64> {
        let mut sum = vec![0; lines];
        for (_, applied) in &self.applied {
            sum.iter_mut().zip(&applied.by_line).for_each(|(sum, off)| *sum += off);
        }
        sum
    }
}

/// Whether an offer goes with those that apply already.
fn stacks(offers: &[&OfferRules], applied: &[(usize, Applied)], offer: &OfferRules) -> bool {
    let others = || applied.iter().filter_map(|(index, _)| offers.get(*index));
    let is_apart =
        |one: &OfferRules, other: &OfferRules| one.stacking == Stacking::Exclusive && other.stacking != Stacking::Joint;
    let shares = |other: &OfferRules| offer.category.is_some() && offer.category == other.category;
    applied.len() < APPLIED_MAX
        && others().all(|other| !is_apart(offer, other) && !is_apart(other, offer) && !shares(other))
}

/// Applies them one after the other, each to what the ones before left; those that do not fit are skipped.
pub fn in_order(offers: &[&OfferRules], order: &[usize], lines: &[Line], currency: Currency) -> Combination {
    let mut left: Vec<i64> = lines.iter().map(|line| line.minor).collect();
    let mut combination = Combination::default();
    for index in order.iter().copied() {
        let Some(offer) = offers.get(index) else { continue };
        if !stacks(offers, &combination.applied, offer) {
            combination.skipped.push((index, RefusalCode::NotStackable));
            continue;
        }
        match offer.apply(lines, &left, currency) {
            Ok(applied) => {
                left.iter_mut().zip(&applied.by_line).for_each(|(left, off)| *left -= off);
                combination.applied.push((index, applied));
            }
            Err(code) => combination.skipped.push((index, code)),
        }
    }
    combination
}

/// The choice, and the order, that takes off most; of equals the one with fewer, then the one that was named first.
/// `true`: it is exact.
pub fn best(offers: &[&OfferRules], lines: &[Line], currency: Currency) -> (Combination, bool) {
    let is_exact = offers.len() <= EXACT_MAX;
    let mut found = if is_exact {
        let mut search = Search { offers, lines, currency, best: Combination::default() };
        let left: Vec<i64> = lines.iter().map(|line| line.minor).collect();
        search.go_on(&mut Combination::default(), &left);
        search.best
    } else {
        greedy(offers, lines, currency)
    };
    // What takes off nothing but gives something: gifts, multipliers.
    let chosen: Vec<usize> = found.applied.iter().map(|(index, _)| *index).collect();
    let rest = (0..offers.len()).filter(|index| !chosen.contains(index));
    let order: Vec<usize> = chosen.iter().copied().chain(rest).collect();
    let whole = in_order(offers, &order, lines, currency);
    if whole.minor() >= found.minor() {
        found = whole;
    }
    (found, is_exact)
}

struct Search<'a> {
    offers: &'a [&'a OfferRules],
    lines: &'a [Line],
    currency: Currency,
    best: Combination,
}

impl Search<'_> {
    fn go_on(&mut self, sofar: &mut Combination, left: &[i64]) {
        if sofar.minor() > self.best.minor() {
            self.best = sofar.clone();
        }
        // Nothing that is left can take off more than what is left.
        if sofar.minor() + left.iter().sum::<i64>() <= self.best.minor() {
            return;
        }
        for (index, offer) in self.offers.iter().enumerate() {
            let is_used = sofar.applied.iter().any(|(used, _)| *used == index);
            if is_used || !stacks(self.offers, &sofar.applied, offer) {
                continue;
            }
            let Ok(applied) = offer.apply(self.lines, left, self.currency) else { continue };
            if applied.minor() == 0 {
                continue;
            }
            let left: Vec<i64> = left.iter().zip(&applied.by_line).map(|(left, off)| left - off).collect();
            sofar.applied.push((index, applied));
            self.go_on(sofar, &left);
            sofar.applied.pop();
        }
    }
}

fn greedy(offers: &[&OfferRules], lines: &[Line], currency: Currency) -> Combination {
    let mut combination = Combination::default();
    let mut left: Vec<i64> = lines.iter().map(|line| line.minor).collect();
    loop {
        let used: Vec<usize> = combination.applied.iter().map(|(index, _)| *index).collect();
        let more = offers
            .iter()
            .enumerate()
            .filter(|(index, offer)| !used.contains(index) && stacks(offers, &combination.applied, offer));
        let more = more.filter_map(|(index, offer)| Some((index, offer.apply(lines, &left, currency).ok()?)));
        let most = more.max_by_key(|(index, applied)| (applied.minor(), std::cmp::Reverse(*index)));
        let Some((index, applied)) = most.filter(|(_, applied)| applied.minor() > 0) else { return combination };
        left.iter_mut().zip(&applied.by_line).for_each(|(left, off)| *left -= off);
        combination.applied.push((index, applied));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn rules(spec: &Value) -> OfferRules {
        OfferRules::read(spec, |_| Some(0)).unwrap()
    }

    fn line(category: &str, minor: i64) -> Line {
        Line { sku: None, category: Some(category.to_owned()), quantity: 1_000, minor }
    }

    fn percent(percent: i64, stacking: Value) -> Value {
        json!({ "effect": { "percent": { "percent": percent.to_string() } }, "stacking": stacking })
    }

    fn amount(minor: i64, stacking: Value) -> Value {
        json!({ "effect": { "amount": { "amount_minor": minor, "currency": "BRL" } }, "stacking": stacking })
    }

    /// Every ordered choice, without any thought.
    fn brute_force(offers: &[&OfferRules], lines: &[Line]) -> i64 {
        fn orders(count: usize) -> Vec<Vec<usize>> {
            let mut all = vec![vec![]];
            let mut last = all.clone();
            for _ in 0..count.min(APPLIED_MAX) {
                last = last
                    .iter()
                    .flat_map(|order: &Vec<usize>| {
                        let free = (0..count).filter(|index| !order.contains(index)).collect::<Vec<_>>();
                        free.into_iter().map(|index| [order.clone(), vec![index]].concat())
                    })
                    .collect();
                all.extend(last.clone());
            }
            all
        }
        let minor = |order: Vec<usize>| in_order(offers, &order, lines, Currency::BRL).minor();
        orders(offers.len()).into_iter().map(minor).max().unwrap()
    }

    #[test]
    fn exclusive_ones_stand_alone_and_joint_ones_go_with_everything() {
        let lines = [line("x", 10_000)];
        let all = [
            rules(&percent(20, json!({ "mode": "exclusive" }))),
            rules(&amount(1_000, json!({}))),
            rules(&amount(500, json!({ "mode": "joint" }))),
            rules(&percent(5, json!({ "category": "weekday" }))),
            rules(&percent(6, json!({ "category": "weekday" }))),
        ];
        let offers: Vec<&OfferRules> = all.iter().collect();
        let order = in_order(&offers, &[0, 1, 2], &lines, Currency::BRL);
        assert_eq!(order.minor(), 2_500);
        assert_eq!(order.skipped, [(1, RefusalCode::NotStackable)]);
        let order = in_order(&offers, &[3, 4, 0], &lines, Currency::BRL);
        assert_eq!(order.skipped, [(4, RefusalCode::NotStackable), (0, RefusalCode::NotStackable)]);
        let (best, is_exact) = best(&offers, &lines, Currency::BRL);
        assert!(is_exact);
        assert_eq!(best.minor(), 2_500, "20 % first, then 5 reais");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn the_best_is_what_brute_force_finds(
            specs in prop::collection::vec((any::<bool>(), 1i64..60, 0usize..5), 1..7),
            minors in prop::collection::vec(1i64..5_000, 1..4),
        ) {
            let stacking = |kind: usize| match kind {
                0 => json!({ "mode": "exclusive" }),
                1 => json!({ "mode": "joint" }),
                2 => json!({ "category": "a" }),
                _ => json!({}),
            };
            let spec = |(is_percent, number, kind): &(bool, i64, usize)| {
                let mut spec = if *is_percent { percent(*number, stacking(*kind)) } else { amount(number * 37, stacking(*kind)) };
                if number % 3 == 0 {
                    spec["only"] = json!({ "categories": ["0"] });
                }
                rules(&spec)
            };
            let all: Vec<OfferRules> = specs.iter().map(spec).collect();
            let offers: Vec<&OfferRules> = all.iter().collect();
            let lines: Vec<Line> = minors.iter().enumerate().map(|(index, minor)| line(&index.to_string(), *minor)).collect();
            let (found, is_exact) = best(&offers, &lines, Currency::BRL);
            prop_assert!(is_exact);
            prop_assert_eq!(found.minor(), brute_force(&offers, &lines));
            let total: i64 = minors.iter().sum();
            prop_assert!(found.minor() <= total);
            prop_assert!(found.by_line(lines.len()).iter().zip(&minors).all(|(off, minor)| off <= minor));
        }
    }
}
