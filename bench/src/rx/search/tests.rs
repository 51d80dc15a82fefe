//! The search against devices whose capacity is known.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const WIDTH: f64 = 0.005;

fn goals() -> [Goal; 2] {
    let goal = |name: &str, loss_ratio| Goal {
        name: name.to_owned(),
        loss_ratio,
        exceed_ratio: 0.5,
        trial_s: 1.0,
        sum_s: 21.0,
        width: WIDTH,
    };
    [goal("NDR", 0.0), goal("PDR", 0.005)]
}

const LIMITS: Limits = Limits { least: 1e3, most: 1e7, trials: 5000 };

/// Searches a device that loses what `loss` says at a load.
fn on(limits: Limits, mut loss: impl FnMut(f64) -> f64) -> Searched {
    search(&goals(), limits, |load, _| Ok::<f64, Infallible>(loss(load))).expect("cannot fail")
}

/// A device that forwards up to `capacity` and loses the rest.
fn tail(capacity: f64) -> impl Fn(f64) -> f64 {
    move |load| (1.0 - capacity / load).max(0.0)
}

/// Frames a second at which `tail` loses `ratio`.
fn at_loss(capacity: f64, ratio: f64) -> f64 {
    capacity / (1.0 - ratio)
}

fn within(found: &Found, truth: f64) -> bool {
    let (Some(lower), Some(upper)) = (found.lower, found.upper) else { return false };
    found.outcome == Outcome::Found
        && lower <= truth * (1.0 + 1e-9)
        && truth <= upper * (1.0 + 1e-9)
        && upper <= lower * (1.0 + WIDTH)
}

/// Uniform numbers from 0 to below 1: the same in every run of a case.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64) / (1u64 << 53) as f64
    }
}

proptest! {
    #[test]
    fn a_device_without_noise_is_found_to_within_the_width(capacity in 2e3f64..9e6) {
        let searched = on(LIMITS, tail(capacity));
        let [ndr, pdr] = &searched.found[..] else { panic!("two goals") };
        prop_assert!(within(ndr, capacity), "{ndr:?}");
        prop_assert!(within(pdr, at_loss(capacity, 0.005)), "{pdr:?}");
        prop_assert_eq!(ndr.throughput, ndr.lower, "nothing is lost there");
        let through = pdr.throughput.expect("a lower bound");
        prop_assert!(through <= capacity * 1.000_001 && through >= 0.99 * capacity, "{through}");
        // Eleven trials decide a load; a handful of loads are looked at.
        prop_assert!(searched.trials.len() < 250, "{} trials", searched.trials.len());
    }

    #[test]
    fn a_plateau_of_rare_loss_sets_the_goals_apart(
        clean in 2e4f64..1e6,
        times in 1.1f64..9.0,
        rare in 1e-7f64..4e-3,
    ) {
        let full = clean * times;
        let searched = on(LIMITS, |load| {
            let tail = (1.0 - full / load).max(0.0);
            if load > clean { tail.max(rare) } else { 0.0 }
        });
        let [ndr, pdr] = &searched.found[..] else { panic!("two goals") };
        prop_assert!(within(ndr, clean), "{ndr:?}");
        prop_assert!(within(pdr, at_loss(full, 0.005)), "{pdr:?}");
    }

    #[test]
    fn trials_that_a_noisy_host_spoils_do_not_move_the_result(
        capacity in 1e4f64..9e6,
        spoilt in 0.0f64..0.2,
        seed in any::<u64>(),
    ) {
        let mut dice = Dice(seed);
        let searched = on(LIMITS, |load| {
            let noise = if dice.roll() < spoilt { 0.03 * dice.roll() + 0.006 } else { 0.0 };
            tail(capacity)(load).max(noise)
        });
        for found in &searched.found {
            // More than half of 21 trials would have to be spoilt: below once in a thousand.
            let truth = at_loss(capacity, found.goal.loss_ratio);
            let (lower, upper) = (found.lower.expect("one"), found.upper.expect("one"));
            prop_assert!(lower >= truth / 1.06 && lower <= truth * 1.0001, "{found:?}");
            prop_assert!(upper >= truth / 1.06, "{found:?}");
        }
    }

    #[test]
    fn jitter_of_the_capacity_is_averaged_and_the_search_ends(
        capacity in 1e4f64..5e6,
        jitter in 0.0f64..0.3,
        seed in any::<u64>(),
    ) {
        let mut dice = Dice(seed);
        let searched = on(LIMITS, |load| {
            tail(capacity * (1.0 + jitter * (dice.roll() - 0.5)))(load)
        });
        for found in &searched.found {
            let (lower, upper) = (found.lower.expect("one"), found.upper.expect("one"));
            prop_assert!(lower < upper, "{found:?}");
            let off = lower / at_loss(capacity, found.goal.loss_ratio);
            prop_assert!((1.0 - jitter - 2.0 * WIDTH..=1.0 + jitter + 2.0 * WIDTH).contains(&off), "{off} {found:?}");
        }
        prop_assert!(searched.trials.len() <= LIMITS.trials);
    }

    #[test]
    fn whatever_a_device_does_the_search_ends(seed in any::<u64>(), trials in 1usize..300) {
        let mut dice = Dice(seed);
        let searched = on(Limits { trials, ..LIMITS }, |_| if dice.roll() < 0.5 { dice.roll() } else { 0.0 });
        prop_assert!(searched.trials.len() <= trials);
        for found in &searched.found {
            if let (Some(lower), Some(upper)) = (found.lower, found.upper) {
                prop_assert!(lower < upper, "{found:?}");
            }
        }
    }
}

#[test]
fn a_device_that_outruns_the_sender_is_said_to() {
    let searched = on(LIMITS, |_| 0.0);
    for found in &searched.found {
        assert_eq!(found.outcome, Outcome::AtMost);
        assert_eq!((found.lower, found.upper), (Some(LIMITS.most), None));
        assert_eq!(found.throughput, Some(LIMITS.most));
    }
    assert_eq!(searched.trials.len(), 11, "one load, by more than half of the sum");
}

#[test]
fn a_device_that_always_loses_has_no_rate() {
    let searched = on(LIMITS, |_| 0.5);
    for found in &searched.found {
        assert_eq!(found.outcome, Outcome::BelowLeast);
        assert_eq!((found.lower, found.throughput), (None, None));
    }
}

#[test]
fn a_trial_that_fails_ends_the_search() {
    let mut trials = 0;
    let result = search(&goals(), LIMITS, |load, _| {
        trials += 1;
        if trials > 3 { Err("the link is gone") } else { Ok(tail(1e6)(load)) }
    });
    assert_eq!(result, Err("the link is gone"));
    assert_eq!(trials, 4);
}

#[test]
fn missing_trials_count_for_neither_side() {
    let goal = &goals()[0];
    let trial = |loss_ratio| Trial { load: 1.0, seconds: 1.0, loss_ratio };
    let judged = |low: usize, high: usize| {
        let mut trials = vec![trial(0.0); low];
        trials.extend(vec![trial(0.1); high]);
        goal.classify(&trials)
    };
    assert_eq!(judged(0, 0), Class::Undecided);
    assert_eq!(judged(10, 10), Class::Undecided);
    assert_eq!(judged(11, 10), Class::Lower);
    assert_eq!(judged(10, 11), Class::Upper);
    assert_eq!((judged(11, 0), judged(0, 11)), (Class::Lower, Class::Upper));
}

#[test]
fn short_trials_balance_each_other_and_do_not_pass_a_load() {
    let goal = &goals()[0];
    let short = |loss_ratio| Trial { load: 1.0, seconds: 0.5, loss_ratio };
    assert_eq!(goal.classify(&vec![short(0.0); 1000]), Class::Undecided);
    assert_eq!(goal.classify(&vec![short(0.1); 30]), Class::Upper);
    let both = [vec![short(0.0); 30], vec![short(0.1); 30]].concat();
    assert_eq!(goal.classify(&both), Class::Undecided);
}

#[test]
fn throughput_is_the_load_less_the_loss_of_the_middle_trial() {
    let goal = &goals()[1];
    let losses = [0.004, 0.001, 0.002, 0.9, 0.003];
    let trials = losses.map(|loss_ratio| Trial { load: 100.0, seconds: 1.0, loss_ratio });
    assert!((goal.quantile_loss(&trials) - 0.003).abs() < 1e-12);
}
