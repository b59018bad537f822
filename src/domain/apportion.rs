//! Whole numbers divided so that the parts sum to the whole, and rounded as a rule says.

use crate::domain::text::text_enum;

text_enum! {
    /// What becomes of the rest of a division.
    pub enum Rounding {
        Floor = "floor",
        HalfEven = "half_even",
        HalfUp = "half_up",
        Ceil = "ceil",
    }
}

impl Rounding {
    /// `number / divisor`; `divisor` is positive. `None`: it does not fit.
    pub fn divide(self, number: i128, divisor: i128) -> Option<i64> {
        if divisor <= 0 {
            return None;
        }
        let (whole, rest) = (number.div_euclid(divisor), number.rem_euclid(divisor));
        let up = match self {
            Self::Floor => false,
            Self::Ceil => rest > 0,
            Self::HalfUp => rest * 2 >= divisor,
            Self::HalfEven => rest * 2 > divisor || (rest * 2 == divisor && whole % 2 != 0),
        };
        i64::try_from(whole + i128::from(up)).ok()
    }
}

/// Divides `whole` in proportion to `weights` by largest remainder: each part is the exact share rounded down, and what is
/// left goes one by one to those whose share lost most, of equals to the first. The parts sum to `whole`. Weights below zero
/// count as zero; without any weight the first takes all. `whole` is not negative.
pub fn apportion(whole: i64, weights: &[i64]) -> Vec<i64> {
    let weights: Vec<i128> = weights.iter().map(|weight| i128::from(*weight).max(0)).collect();
    let sum: i128 = weights.iter().sum();
    if sum == 0 {
        return weights.iter().enumerate().map(|(index, _)| if index == 0 { whole } else { 0 }).collect();
    }
    let exact = |weight: &i128| i128::from(whole) * weight;
    let mut parts: Vec<i64> =
        weights.iter().map(|weight| i64::try_from(exact(weight) / sum).unwrap_or(i64::MAX)).collect();
    let mut by_loss: Vec<(usize, i128)> = weights.iter().map(|weight| exact(weight) % sum).enumerate().collect();
    by_loss.sort_by_key(|(index, lost)| (std::cmp::Reverse(*lost), *index));
    let left = whole - parts.iter().sum::<i64>();
    for (index, _) in by_loss.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        if let Some(part) = parts.get_mut(index) {
            *part += 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rest_goes_where_the_rule_says() {
        for (number, divisor, expected) in [
            (7, 2, [3, 4, 4, 4]),
            (5, 2, [2, 2, 3, 3]),
            (-5, 2, [-3, -2, -2, -2]),
            (6, 2, [3, 3, 3, 3]),
            (10, 3, [3, 3, 3, 4]),
        ] {
            let real = Rounding::ALL.iter().map(|rounding| rounding.divide(number, divisor).unwrap());
            assert_eq!(real.collect::<Vec<_>>(), expected, "{number}/{divisor}");
        }
        assert_eq!(Rounding::Floor.divide(i128::MAX, 1), None);
        assert_eq!(Rounding::Floor.divide(1, 0), None);
    }

    #[test]
    fn parts_are_fair() {
        assert_eq!(apportion(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(apportion(10, &[3, 3, 1]), [4, 4, 2]);
        assert_eq!(apportion(5, &[0, 0]), [5, 0]);
        assert_eq!(apportion(5, &[]), Vec::<i64>::new());
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole_and_none_is_off_by_one(whole in 0i64..1_000_000_000, weights in prop::collection::vec(0i64..1_000_000, 1..20)) {
            let parts = apportion(whole, &weights);
            prop_assert_eq!(parts.iter().sum::<i64>(), whole);
            let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                if sum > 0 {
                    let exact = i128::from(whole) * i128::from(*weight);
                    prop_assert!((i128::from(*part) * sum - exact).abs() < sum);
                }
            }
        }
    }
}
