//! `pfs cst show`: a tree in words.

use pfs_cst::hot::{HotTree, Node};
use pfs_cst::languages::Flags;
use pfs_cst::walk;
use serde_json::{Map, Value, json};

use super::args::{ShowArgs, ShowFormat};
use crate::failure::Failure;
use crate::out;

/// Bytes that are printed at once.
const PIECE: usize = 1 << 16;
/// Deepest indentation: below it lines say nothing more of their depth.
const INDENT: usize = 60;

/// `pfs cst show`.
///
/// # Errors
/// There is no such tree, it cannot be read, or the place is none of it.
pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let store = super::open(&args.dir)?;
    let tree = store.get(&args.name)?.ok_or_else(|| super::missing(&args.name, &args.dir))?;
    if let Some(place) = &args.at {
        return out::print(&chain(&tree, byte(&tree, place)?));
    }
    match args.format {
        ShowFormat::Line => out::print(&(walk::sexp(&mut tree.walk()) + "\n")),
        ShowFormat::Sexp => sexp(&tree),
        ShowFormat::Json => nodes(&tree),
    }
}

/// The byte that a place means: BYTE from 0, or ROW:COLUMN from 1.
fn byte(tree: &HotTree, place: &str) -> Result<usize, Failure> {
    let wrong =
        || Failure::usage(format!("{place} is no place: write BYTE from 0, or ROW:COLUMN from 1"));
    let outside = || Failure::failed(format!("{place} is not in the tree"));
    let byte = match place.split_once(':') {
        None => place.parse().map_err(|_| wrong())?,
        Some((row, column)) => {
            let number = |text: &str| text.parse::<usize>().ok().and_then(|it| it.checked_sub(1));
            let (row, column) = number(row).zip(number(column)).ok_or_else(wrong)?;
            tree.line_start(row).ok_or_else(outside)?.checked_add(column).ok_or_else(outside)?
        }
    };
    if byte > tree.source_len() { Err(outside()) } else { Ok(byte) }
}

/// The smallest node at a byte and its ancestors, as a table.
fn chain(tree: &HotTree, byte: usize) -> String {
    let mut rows = vec![["NODE", "FIELD", "BYTES", "FROM", "TO", "FLAGS"].map(str::to_owned)];
    let smallest = tree.root().descendant_for_byte_range(byte..byte);
    for node in std::iter::successors(smallest, Node::parent) {
        let (range, from, to) = (node.byte_range(), node.start_position(), node.end_position());
        let kind = if node.is_named() { node.kind().into() } else { format!("{:?}", node.kind()) };
        rows.push([
            kind,
            node.field_name().unwrap_or_default().into(),
            format!("{}..{}", range.start, range.end),
            format!("{}:{}", from.row + 1, from.column + 1),
            format!("{}:{}", to.row + 1, to.column + 1),
            flags(&node).join(","),
        ]);
    }
    table(&rows)
}

/// Rows as aligned columns.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let start = out.len();
        for (text, width) in row.iter().zip(widths) {
            out.push_str(&format!("{text:width$}  "));
        }
        out.truncate(start + out[start..].trim_end().len());
        out.push('\n');
    }
    out
}

/// What is set of a node, in words.
fn flags(node: &Node<'_>) -> Vec<&'static str> {
    let all = [
        (Flags::EXTRA, "extra"),
        (Flags::MISSING, "missing"),
        (Flags::ERROR, "error"),
        (Flags::HAS_ERROR, "has-error"),
    ];
    let set = node.symbol().flags();
    all.iter().filter(|(flag, _)| set.has(*flag)).map(|(_, word)| *word).collect()
}

/// Prints pieces as they become long.
struct Printer(String);

impl Printer {
    fn full(&mut self) -> Result<(), Failure> {
        if self.0.len() < PIECE {
            return Ok(());
        }
        out::print(&std::mem::take(&mut self.0))
    }
}

/// An S-expression of named nodes with rows and columns from 0, a node a line.
fn sexp(tree: &HotTree) -> Result<(), Failure> {
    let (mut printer, mut open, mut failed) = (Printer(String::new()), Vec::new(), None);
    walk::preorder(&mut tree.walk(), |cursor, depth| {
        while open.last().is_some_and(|last| *last >= depth) {
            open.pop();
            printer.0.push(')');
        }
        let node = cursor.node();
        if !node.is_named() || failed.is_some() {
            return;
        }
        if depth > 0 {
            printer.0.push('\n');
            printer.0.push_str(&"  ".repeat(open.len().min(INDENT)));
        }
        if let Some(field) = node.field_name() {
            printer.0.push_str(&format!("{field}: "));
        }
        let missing = if node.is_missing() { "MISSING " } else { "" };
        let (from, to) = (node.start_position(), node.end_position());
        printer.0.push_str(&format!(
            "({missing}{} [{}, {}] - [{}, {}]",
            node.kind(),
            from.row,
            from.column,
            to.row,
            to.column
        ));
        open.push(depth);
        failed = printer.full().err();
    });
    if let Some(failure) = failed {
        return Err(failure);
    }
    printer.0.extend(open.iter().map(|_| ')'));
    printer.0.push('\n');
    out::print(&printer.0)
}

/// Every node as a JSON object on a line, in pre-order.
fn nodes(tree: &HotTree) -> Result<(), Failure> {
    let (mut printer, mut failed) = (Printer(String::new()), None);
    walk::preorder(&mut tree.walk(), |cursor, depth| {
        if failed.is_some() {
            return;
        }
        let node = cursor.node();
        let mut object = place(&node);
        object.insert("depth".into(), json!(depth));
        object.insert("named".into(), json!(node.is_named()));
        if let Some(field) = node.field_name() {
            object.insert("field".into(), json!(field));
        }
        for word in flags(&node) {
            object.insert(word.replace('-', "_"), json!(true));
        }
        printer.0.push_str(&Value::Object(object).to_string());
        printer.0.push('\n');
        failed = printer.full().err();
    });
    match failed {
        Some(failure) => Err(failure),
        None => out::print(&printer.0),
    }
}

/// A node's kind and place, rows and columns from 0.
pub(super) fn place(node: &Node<'_>) -> Map<String, Value> {
    let (range, from, to) = (node.byte_range(), node.start_position(), node.end_position());
    let mut object = Map::new();
    object.insert("kind".into(), json!(node.kind()));
    object.insert("bytes".into(), json!([range.start, range.end]));
    object.insert("from".into(), json!([from.row, from.column]));
    object.insert("to".into(), json!([to.row, to.column]));
    object
}
