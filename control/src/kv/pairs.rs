//! Commands on pairs: summary, reduce. Pairs are the line grammar's affair.

use serde_json::{Map, Value};

use super::args::{ReduceArgs, Reduction, SummaryArgs};
use super::given;
use super::link::Link;
use super::pair_lines::operand;
use crate::failure::Failure;
use crate::out;

/// `pfs kv summary`.
///
/// # Errors
/// When the server fails or refuses.
pub(super) fn summary(args: &SummaryArgs) -> Result<(), Failure> {
    let prefix = operand(&given(&args.prefix, args.form, "PREFIX")?);
    let link = Link::open(&args.target, false)?;
    let depth = if args.depth == 0 { "-1".to_owned() } else { args.depth.to_string() };
    let line = format!("PAIR_SUMMARY {prefix} {depth} {}", args.branches);
    let reply = link.lines()?.call(line.as_bytes())?;
    print(&reply, args.json)?;
    link.close()
}

/// `pfs kv reduce`.
///
/// # Errors
/// When the server fails or refuses.
pub(super) fn reduce(args: &ReduceArgs) -> Result<(), Failure> {
    let prefix = operand(&given(&args.prefix, args.form, "PREFIX")?);
    let (mode, rows) = match args.mode {
        Reduction::Counts => ("counts", " rows=0"),
        Reduction::Probabilities => ("probabilities", " rows=0"),
        Reduction::Continuation => ("continuation", " rows=0"),
        Reduction::Raw => ("raw", ""),
    };
    let top = if rows.is_empty() { String::new() } else { format!(" top={}", args.top) };
    let link = Link::open(&args.target, false)?;
    let line = format!("PAIR_REDUCE {mode} {prefix} {}{rows}{top}", args.limit);
    let reply = link.lines()?.call(line.as_bytes())?;
    print(&reply, args.json)?;
    link.close()
}

/// Prints a reply's fields, one a line; items within one, below it.
fn print(reply: &[u8], json: bool) -> Result<(), Failure> {
    let reply = String::from_utf8_lossy(reply);
    let fields = reply.split(',').filter_map(|field| field.split_once('='));
    let fields = fields.filter(|(name, _)| *name != "command");
    if json {
        let mut object = Map::new();
        for (name, value) in fields {
            let value = match name {
                "items" | "branches" | "top" => {
                    value.split(';').filter(|item| !item.is_empty()).collect()
                }
                _ => value.parse::<u64>().map_or_else(|_| value.into(), Value::from),
            };
            object.insert(name.to_owned(), value);
        }
        return out::json(&object);
    }
    let mut text = String::new();
    for (name, value) in fields {
        match name {
            "items" | "branches" | "top" => {
                text += &format!("{name}\n");
                for item in value.split(';').filter(|item| !item.is_empty()) {
                    text += &format!("  {item}\n");
                }
            }
            _ => text += &format!("{name:<14}{value}\n"),
        }
    }
    out::print(&text)
}
