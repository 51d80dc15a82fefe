//! The command line: one program, a subcommand for each group of benchmarks.

mod all;
mod alone;
mod blob;
mod compare;
mod cst;
#[cfg(feature = "dpdk")]
mod dpdk_ring;
mod gate;
mod kv;
mod op;
mod op_pvrt;
mod op_token;
mod overload;
mod packet;
mod pcores;
mod pipeline;
mod rebuild;
mod report;
mod ring;
mod rx;
mod size;
mod token;
mod vec;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures pfs beside its peers and the machine's own limits; every row checks its answer.
///
/// Figures are medians with their range; ratios within one run mean more than rates. `--json FILE`
/// keeps every sample. Exit codes: 0 done, 1 a wrong answer or a failure, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "pfs-bench", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    group: Group,
}

/// The groups, in the order in which `--help` shows them.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one, for the life of the process")]
enum Group {
    All(all::Args),
    Pcores(pcores::Args),
    Op(op::Args),
    Ring(ring::Args),
    Pipeline(pipeline::Args),
    Packet(packet::Args),
    Rx(rx::Args),
    Overload(overload::Args),
    OpToken(op_token::Args),
    OpPvrt(op_pvrt::Args),
    Token(token::Args),
    Kv(kv::Args),
    Vec(vec::Args),
    Cst(cst::Args),
    Blob(blob::Args),
    Rebuild(rebuild::Args),
    Compare(compare::Args),
    Gate(gate::Args),
    #[command(hide = true)]
    GateChild(gate::ChildArgs),
    Report(report::Args),
    #[command(hide = true)]
    Alone(alone::Args),
    #[cfg(feature = "dpdk")]
    #[command(hide = true)]
    DpdkRing(dpdk_ring::Args),
}

/// Parses the command line, measures, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().group {
        Group::All(args) => args.run(),
        Group::Pcores(args) => args.run(),
        Group::Op(args) => args.run(),
        Group::Ring(args) => args.run(),
        Group::Pipeline(args) => args.run(),
        Group::Packet(args) => args.run(),
        Group::Rx(args) => args.run(),
        Group::Overload(args) => args.run(),
        Group::OpToken(args) => args.run(),
        Group::OpPvrt(args) => args.run(),
        Group::Token(args) => args.run(),
        Group::Kv(args) => args.run(),
        Group::Vec(args) => args.run(),
        Group::Cst(args) => args.run(),
        Group::Blob(args) => args.run(),
        Group::Rebuild(args) => args.run(),
        Group::Compare(args) => args.run(),
        Group::Gate(args) => args.run(),
        Group::GateChild(args) => args.run(),
        Group::Report(args) => args.run(),
        Group::Alone(args) => args.run(),
        #[cfg(feature = "dpdk")]
        Group::DpdkRing(args) => args.run(),
    }
}

/// Says why a group could not be measured.
fn failed(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("pfs-bench: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_is_of_one_meaning_and_every_group_says_what_it_is() {
        Cli::command().debug_assert();
        for group in Cli::command().get_subcommands() {
            assert!(group.get_about().is_some(), "{} has no help", group.get_name());
        }
    }

    #[test]
    fn groups_of_all_are_subcommands() {
        for name in crate::all::names() {
            assert!(Cli::command().find_subcommand(name).is_some(), "{name}");
        }
    }
}
