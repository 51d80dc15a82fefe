//! How long and how often: what a run of the benchmark is made of.

use std::str::FromStr;
use std::time::Duration;

use pfs_dataplane::transmitters::frames::FrameSize;

use super::search::Goal;

/// Durations and counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Frame sizes, check sequence counted.
    pub sizes: Vec<FrameSize>,
    /// Trials at top speed of each row.
    pub trials: usize,
    /// Sending time of such a trial.
    pub trial: Duration,
    /// Trials at top speed of a peer, each of which starts it anew.
    pub peer_trials: usize,
    /// Visits that these trials are spread over, in an order that changes.
    pub visits: usize,
    /// Seconds of a trial of the search.
    pub search_s: f64,
    /// Seconds of trials that a load is judged by.
    pub sum_s: f64,
    /// Distance of the bounds, as a share of the lower one.
    pub width: f64,
    /// Trials that a search may take.
    pub most_trials: usize,
    /// Sending time at each load that latency is looked at.
    pub latency: Duration,
    /// Whether peers are searched too; each trial starts them anew.
    pub search_peers: bool,
}

/// Share of loss that PDR allows.
const PARTIAL_DROP: f64 = 0.005;
/// Share of trial time at a load that may lose more.
const EXCEED: f64 = 0.5;

impl Plan {
    /// Under three minutes on two cores: to see that all works, and what it costs about.
    #[must_use]
    pub fn short() -> Self {
        Self {
            sizes: vec![FrameSize::Bytes(64)],
            trials: 10,
            trial: Duration::from_millis(100),
            peer_trials: 3,
            visits: 2,
            search_s: 0.1,
            sum_s: 0.5,
            width: 0.05,
            most_trials: 60,
            latency: Duration::from_millis(300),
            search_peers: false,
        }
    }

    /// Trials of a second at top speed, half of one in the search: about half an hour.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            sizes: vec![
                FrameSize::Bytes(64),
                "imix".parse().unwrap_or(FrameSize::Bytes(570)),
                FrameSize::Bytes(1518),
            ],
            trial: Duration::from_secs(1),
            peer_trials: 5,
            search_s: 0.5,
            sum_s: 2.5,
            width: 0.01,
            most_trials: 300,
            latency: Duration::from_secs(2),
            ..Self::short()
        }
    }

    /// CSIT's own durations: ten trials of a second, searches of trials of a second of which 21
    /// judge a load, to within 0.5 %. Hours.
    #[must_use]
    pub fn csit() -> Self {
        Self {
            peer_trials: 10,
            search_s: 1.0,
            sum_s: 21.0,
            width: 0.005,
            most_trials: 2000,
            latency: Duration::from_secs(5),
            search_peers: true,
            ..Self::standard()
        }
    }

    /// What is searched for.
    #[must_use]
    pub fn goals(&self) -> [Goal; 2] {
        let goal = |name: &str, loss_ratio| Goal {
            name: name.to_owned(),
            loss_ratio,
            exceed_ratio: EXCEED,
            trial_s: self.search_s,
            sum_s: self.sum_s,
            width: self.width,
        };
        [goal("NDR", 0.0), goal("PDR", PARTIAL_DROP)]
    }

    /// Trials at top speed of visit `visit`, from 0, so that all together are `of`.
    pub(super) const fn share(&self, of: usize, visit: usize) -> usize {
        let before = of * visit / self.visits;
        of * (visit + 1) / self.visits - before
    }

    /// Bytes of the longest frame, check sequence counted.
    pub(super) fn longest(&self) -> u32 {
        let longest = |size: &FrameSize| match size {
            FrameSize::Bytes(bytes) => *bytes,
            FrameSize::Mix(_) => 1518,
        };
        self.sizes.iter().map(longest).max().unwrap_or(64)
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "short" => Ok(Self::short()),
            "standard" => Ok(Self::standard()),
            "csit" => Ok(Self::csit()),
            other => Err(format!("{other:?} is no preset; they are short, standard, csit")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_share_all_trials() {
        for plan in [Plan::short(), Plan::standard(), Plan::csit()] {
            for trials in 0..12 {
                let shared: usize = (0..plan.visits).map(|visit| plan.share(trials, visit)).sum();
                assert_eq!(shared, trials);
            }
        }
    }

    #[test]
    fn csits_goals_are_csits() {
        let [ndr, pdr] = Plan::csit().goals();
        assert_eq!((ndr.loss_ratio, pdr.loss_ratio), (0.0, 0.005));
        for goal in [ndr, pdr] {
            assert_eq!((goal.trial_s, goal.sum_s, goal.width), (1.0, 21.0, 0.005));
            assert_eq!(goal.exceed_ratio, 0.5);
        }
        assert_eq!((Plan::csit().trials, Plan::csit().trial), (10, Duration::from_secs(1)));
        assert!("long".parse::<Plan>().is_err());
    }
}
