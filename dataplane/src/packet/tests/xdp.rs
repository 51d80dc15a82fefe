//! The same frames and rules through the XDP program in the kernel and through user space.

use pfs_ebpf::rules::XdpRule;
use pfs_ebpf::{Program, QueueCounters};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::ruleset::any_match;
use super::*;

/// What either matcher says of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Rule(usize),
    Unmatched,
    Malformed,
}

/// Frames whose fields are those that [`any_match`] asks for, some of them broken.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let flip = (12usize..100, any::<u8>());
    let flips = prop_oneof![3 => Just(vec![]), 1 => vec(flip, 1..4)];
    let cut = prop_oneof![6 => Just(usize::MAX), 1 => 14usize..120];
    // Random bytes where a transport header should be.
    let protocol = prop_oneof![Just(6u8), Just(17), Just(132), Just(136)];
    let bare = prop_oneof![6 => Just(None), 1 => protocol.prop_map(Some)];
    (oracle::build(), bare, flips, cut).prop_map(|(mut build, bare, flips, cut)| {
        if let Some(protocol) = bare {
            build.transport = Transport::Bare(protocol);
        }
        narrow(&mut build);
        let mut bytes = build.bytes();
        for (at, byte) in flips {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        bytes
    })
}

fn narrow(build: &mut Build) {
    build.ports.1 %= 8;
    build.tags.iter_mut().for_each(|(_, tci)| *tci &= 0xf003);
    match &mut build.ip {
        Ip::V4 { source, destination, .. } => {
            *source = [10, 0, 0, source[3] % 4];
            *destination = [10, 0, 0, destination[3] % 4];
        }
        Ip::V6 { source, destination, .. } => {
            for address in [source, destination] {
                let low = address[15] % 4;
                *address = [0; 16];
                (address[0], address[15]) = (0xfd, low);
            }
        }
    }
}

/// One run in the kernel, told by what it added to the counters.
fn kernel_says(program: &Program, frame: &[u8]) -> Said {
    let decided =
        |counters: &QueueCounters| (counters.unmatched.packets, counters.malformed.packets);
    let per_rule = || -> Vec<u64> {
        let counters = program.rule_counters();
        counters.iter().map(|rule| (rule.no_socket + rule.pass + rule.drop).packets).collect()
    };
    let (before, rules) = (program.counters(0).expect("counters"), per_rule());
    program.test_run(frame).expect("a frame of 14 bytes or more");
    let after = program.counters(0).expect("counters");
    let (unmatched, malformed) = decided(&before);
    match per_rule().iter().zip(&rules).position(|(after, before)| after > before) {
        Some(rule) => Said::Rule(rule),
        None if decided(&after) == (unmatched + 1, malformed) => Said::Unmatched,
        None if decided(&after) == (unmatched, malformed + 1) => Said::Malformed,
        None => panic!("a frame without a verdict: {before:?} to {after:?}"),
    }
}

/// What user space says; nothing where it looks further than the rules do.
fn user_space_says(rules: &RuleSet, frame: &[u8]) -> Option<Said> {
    match whole(frame) {
        Ok(parsed) => Some(match rules.find(&parsed) {
            Some(rule) => Said::Rule(usize::from(rule)),
            None => Said::Unmatched,
        }),
        Err(
            Malformed::UdpShort
            | Malformed::UdpLength
            | Malformed::TcpShort
            | Malformed::TcpDataOffset
            | Malformed::Ipv6ChainLong,
        ) => None,
        Err(_) => Some(Said::Malformed),
    }
}

#[test]
fn kernel_and_user_space_say_the_same() {
    let program = match Program::load(&[]) {
        Ok(program) => program,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let rounds = std::env::var("PFS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let mut runner = TestRunner::default();
    let mut seen = [0; 4];
    for _ in 0..rounds {
        let mut draw = |strategy: &BoxedStrategy<(Vec<RuleMatch>, Vec<Vec<u8>>)>| {
            strategy.new_tree(&mut runner).expect("a value").current()
        };
        let (matches, frames) = draw(&(vec(any_match(), 0..8), vec(frame(), 40)).boxed());
        let named = matches.into_iter().enumerate();
        let rules: Vec<Rule> = named
            .map(|(index, matches)| Rule { matches, ..Rule::all(index.to_string()) })
            .filter(|rule| RuleSet::compile(std::slice::from_ref(rule)).is_ok())
            .collect();
        let compiled = RuleSet::compile(&rules).unwrap();
        let xdp: Vec<XdpRule> = rules.iter().map(Rule::to_xdp).collect();
        program.set_rules(&xdp).expect("rules that compiled");
        for frame in frames {
            let kernel = kernel_says(&program, &frame);
            let user = user_space_says(&compiled, &frame);
            if let Some(user) = user {
                assert_eq!(kernel, user, "{frame:02x?}\n{rules:#?}");
            } else {
                assert_ne!(kernel, Said::Malformed, "{frame:02x?}");
            }
            seen[match user {
                Some(Said::Rule(_)) => 0,
                Some(Said::Unmatched) => 1,
                Some(Said::Malformed) => 2,
                None => 3,
            }] += 1;
        }
    }
    println!("rule, unmatched, malformed, payload malformed: {seen:?}");
    assert!(seen.iter().all(|count| *count > 0), "each kind of verdict is compared: {seen:?}");
}
